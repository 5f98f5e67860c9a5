// Which node the call is connected to, and on demand why.
import type { Connection } from '@origo/client';
import { distanceText, rttText } from '../model/figures';
import { nameRegions, regionName } from '../model/region';
import { Icon } from './Icon';
import { Popover } from './Popover';

export function NodeChip({ connection }: { connection: Connection }) {
  const { node, candidates } = connection;
  const place = regionName(node.region) || node.id;
  const regions = candidates.map((candidate) => candidate.node.region);
  const figures = [rttText(node.rttMs), distanceText(node.distanceKm)].filter((figure) => figure !== '');
  return (
    <Popover
      label={`Connected to ${place}`}
      texted
      className="chip"
      align="end"
      attributes={{ 'data-testid': 'connected-node', 'data-node': node.id, 'data-region': node.region }}
      button={
        <>
          <span className="chip-dot" aria-hidden="true" />
          <span className="unseen">Connected to </span>
          <span className="chip-place">{place}</span>{' '}
          {node.rttMs !== null && <span className="chip-figure">{rttText(node.rttMs)}</span>}
        </>
      }
    >
      {() => (
        <div className="node-card">
          <h2>
            <Icon name="globe" /> Connected to {place}
          </h2>
          {figures.length > 0 && <p className="node-figures">{figures.join(' · ')}</p>}
          <p data-testid="node-why">{nameRegions(node.why, regions)}</p>
          <table>
            <caption>Nodes considered</caption>
            <tbody>
              {candidates.map((candidate) => (
                <tr key={candidate.node.id} data-chosen={candidate.node.id === node.id}>
                  <th scope="row">{regionName(candidate.node.region) || candidate.node.id}</th>
                  <td>{distanceText(candidate.node.distanceKm) || '–'}</td>
                  <td>{rttText(candidate.rttMs) || 'not measured'}</td>
                </tr>
              ))}
            </tbody>
          </table>
          <p className="node-id">Node {node.id}</p>
        </div>
      )}
    </Popover>
  );
}
