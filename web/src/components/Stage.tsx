// Chooses how the tiles are shown: a shared screen or a pinned tile large, else everybody in the grid.
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
    const shared = tiles.filter((tile) => tile.kind === 'screen');
    return tiles.find((tile) => tile.key === pinned) ?? shared.find((tile) => !tile.person.local) ?? shared[0];
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
