// Which node serves the call: the nearest by measurement, or one that is forced.
import { findNode, type RouteNode } from '@origo/client';
import { distanceText, loadText } from '../model/figures';
import { regionName } from '../model/region';

interface Props {
  nodes: RouteNode[];
  /** A node id or region; empty for automatic. */
  value: string;
  onChange: (value: string) => void;
}

export function NodePicker({ nodes, value, onChange }: Props) {
  const forced = value === '' ? undefined : findNode(nodes, value);
  return (
    <fieldset className="picker" data-testid="node-picker">
      <legend>Node</legend>
      <Option chosen={value === ''} id="" title="Automatic" detail="The nearest one, measured when you join" onChoose={onChange} />
      {value !== '' && !forced && <Option chosen id={value} title={regionName(value)} detail="From your link" onChoose={onChange} />}
      {nodes.map((node) => (
        <Option
          key={node.id}
          id={node.id}
          region={node.region}
          chosen={forced === node}
          title={regionName(node.region) || node.id}
          detail={[distanceText(node.distanceKm), loadText(node.load)].filter((part) => part !== '').join(' · ')}
          load={node.load}
          hint={node.why}
          onChoose={onChange}
        />
      ))}
    </fieldset>
  );
}

interface OptionProps {
  id: string;
  region?: string;
  chosen: boolean;
  title: string;
  detail: string;
  load?: number | null;
  hint?: string;
  onChoose: (id: string) => void;
}

function Option({ id, region, chosen, title, detail, load = null, hint, onChoose }: OptionProps) {
  return (
    <label className="picker-option" title={hint} data-testid="node-option" data-node={id} data-region={region}>
      <input type="radio" name="node" value={id} checked={chosen} onChange={() => onChoose(id)} />
      <span className="picker-title">{title}</span>
      <span className="picker-detail">{detail}</span>
      {load !== null && <span className="picker-load" aria-hidden="true" style={{ '--load': load } as React.CSSProperties} />}
    </label>
  );
}
