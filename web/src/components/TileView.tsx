// One person or one shared screen, with the region that serves it and the way its media took.
import { useRef } from 'react';
import type { Hop, Link, Path } from '@origo/client';
import { usePath, type PathSource } from '../hooks/usePath';
import { hueOf, initials } from '../model/name';
import { pathDetail, pathHurts, pathLabel, placesOf } from '../model/region';
import type { Tile } from '../model/tile';
import { Icon } from './Icon';
import { Picture } from './Picture';

/** What every tile of a call needs to know about the call. */
export interface TileScene {
  source: PathSource;
  /** The path of what this participant sends: it starts, and for them ends, at their own node. */
  home: Hop[];
  pinned: string | null;
  onPin: (key: string | null) => void;
}

interface Props {
  tile: Tile;
  scene: TileScene;
  size?: { width: number; height: number };
}

export function TileView({ tile, scene, size }: Props) {
  const { person, kind, video } = tile;
  const frame = useRef<HTMLElement>(null);
  const screen = kind === 'screen';
  const speaking = person.speaking && !screen;
  return (
    <article
      ref={frame}
      className="tile"
      data-testid="tile"
      data-identity={person.identity}
      data-kind={kind}
      data-local={person.local}
      data-speaking={speaking}
      aria-label={labelOf(tile)}
      style={size}
    >
      {video ? (
        <Picture track={video} mirrored={person.local && !screen} />
      ) : (
        <div className="tile-empty">
          <span className="avatar" style={{ '--hue': hueOf(person.identity) } as React.CSSProperties}>
            {initials(person.name)}
          </span>
        </div>
      )}
      <div className="tile-tools">
        {screen && video && (
          <button type="button" aria-label="Full screen" onClick={() => void frame.current?.requestFullscreen()}>
            <Icon name="full" size={18} />
          </button>
        )}
        <PinButton tile={tile} scene={scene} />
      </div>
      <footer className="tile-foot">
        <span className="tile-name">
          {!screen && !person.micOn && <Icon name="micOff" size={16} />}
          {person.weak && <Icon name="weak" size={16} />}
          <span>{nameOf(tile)}</span>
        </span>
        {person.local ? <PathText hops={scene.home} /> : <RemotePath tile={tile} source={scene.source} />}
      </footer>
    </article>
  );
}

function PinButton({ tile, scene }: { tile: Tile; scene: TileScene }) {
  const pinned = scene.pinned === tile.key;
  return (
    <button
      type="button"
      aria-label={pinned ? 'Back to the grid' : `Make ${nameOf(tile)} large`}
      aria-pressed={pinned}
      onClick={() => scene.onPin(pinned ? null : tile.key)}
    >
      <Icon name={pinned ? 'unpin' : 'pin'} size={18} />
    </button>
  );
}

function RemotePath({ tile, source }: { tile: Tile; source: PathSource }) {
  const path = usePath(source, tile.pathSid);
  return (
    <>
      {path && <PathTrouble path={path} />}
      <PathText hops={path?.hops ?? []} links={path?.links} />
    </>
  );
}

/** Quiet while all is well. */
function PathTrouble({ path }: { path: Path }) {
  const hurts = pathHurts(path);
  if (hurts === null) return null;
  return (
    <span className="tile-path tile-hurts" data-testid="tile-hurts" title={pathDetail(path.hops, path.links)}>
      <Icon name="warning" size={14} />
      <span>{hurts}</span>
    </span>
  );
}

/** `data-path` holds the regions as the mesh names them. */
function PathText({ hops, links }: { hops: Hop[]; links?: Link[] }) {
  const detail = pathDetail(hops, links);
  return (
    <span className="tile-path" data-testid="tile-path" data-path={placesOf(hops).join('>')} title={detail}>
      {hops.length > 0 && <Icon name={hops.length > 1 ? 'route' : 'globe'} size={14} />}
      <span>{pathLabel(hops)}</span>
    </span>
  );
}

function nameOf({ person, kind }: Tile): string {
  if (kind === 'screen') return person.local ? 'Your screen' : `${person.name}’s screen`;
  return person.local ? `${person.name} (you)` : person.name;
}

function labelOf(tile: Tile): string {
  const { person, kind } = tile;
  const states = [nameOf(tile)];
  if (kind === 'camera' && !person.micOn) states.push('muted');
  if (kind === 'camera' && !tile.video) states.push('camera off');
  if (person.weak) states.push('weak connection');
  return states.join(', ');
}
