// Chooses how the tiles are shown: a pinned tile or another's screen large, else everybody in the grid. Who shares a
// screen sees it already, and wants to see the others.
import type { Hop } from '@origo/client';
import { useMemo, useState } from 'react';
import type { PathSource } from '../hooks/usePath';
import type { RoomPicture } from '../model/tile';
import { FocusStage } from './FocusStage';
import { GridStage } from './GridStage';
import { InviteButton } from './InviteButton';
import type { TileScene } from './TileView';

interface Props {
  picture: RoomPicture;
  source: PathSource;
  home: Hop[];
  roomName: string;
}

export function Stage({ picture, source, home, roomName }: Props) {
  const [pinned, setPinned] = useState<string | null>(null);
  const { tiles, people } = picture;
  const scene: TileScene = { source, home, pinned, onPin: setPinned };
  const focus = useMemo(() => {
    return tiles.find((tile) => tile.key === pinned) ?? tiles.find((tile) => tile.kind === 'screen' && !tile.person.local);
  }, [tiles, pinned]);

  if (focus) return <FocusStage focus={focus} tiles={tiles} scene={scene} />;
  return (
    <>
      <GridStage tiles={tiles} scene={scene} />
      {people.length === 1 && (
        <div className="alone" role="status">
          <p>You are the only one here. The link brings others in.</p>
          <InviteButton room={roomName} className="chip" />
        </div>
      )}
    </>
  );
}
