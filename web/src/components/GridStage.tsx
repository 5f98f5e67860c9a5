// Everybody at the same size, in pages when there are too many for one.
import { useState } from 'react';
import { useSize } from '../hooks/useSize';
import { layoutGrid, pageOf, pageSize } from '../model/grid';
import { orderTiles, type Tile } from '../model/tile';
import { Icon } from './Icon';
import { TileView, type TileScene } from './TileView';

const GAP = 10;

export function GridStage({ tiles, scene }: { tiles: Tile[]; scene: TileScene }) {
  const [measure, box] = useSize();
  const [wanted, setWanted] = useState(0);
  const size = pageSize(tiles.length, box, GAP);
  const { items, page, pages } = pageOf(orderTiles(tiles, size), wanted, size);
  const grid = layoutGrid(items.length, box, GAP);
  const tileSize = { width: grid.tileWidth, height: grid.tileHeight };
  return (
    <div className="grid-stage">
      <div ref={measure} className="grid" style={{ gap: GAP }}>
        {box.width > 0 && items.map((tile) => <TileView key={tile.key} tile={tile} scene={scene} size={tileSize} />)}
      </div>
      {pages > 1 && (
        <nav className="pager" aria-label="Pages of participants">
          <button type="button" aria-label="Previous page" disabled={page === 0} onClick={() => setWanted(page - 1)}>
            <Icon name="left" />
          </button>
          <span>
            {page + 1} / {pages}
          </span>
          <button type="button" aria-label="Next page" disabled={page === pages - 1} onClick={() => setWanted(page + 1)}>
            <Icon name="right" />
          </button>
        </nav>
      )}
    </div>
  );
}
