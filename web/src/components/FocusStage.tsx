// One tile large, the others in a strip beside it (below it on a narrow screen).
import { orderTiles, type Tile } from '../model/tile';
import { TileView, type TileScene } from './TileView';

export function FocusStage({ focus, tiles, scene }: { focus: Tile; tiles: Tile[]; scene: TileScene }) {
  const cameras = orderTiles(tiles.filter((tile) => tile.kind === 'camera' && tile !== focus), 2);
  const screens = tiles.filter((tile) => tile.kind === 'screen' && tile !== focus);
  const strip = [...screens, ...cameras];
  return (
    <div className="focus-stage">
      <div className="focus">
        <TileView tile={focus} scene={scene} />
      </div>
      {strip.length > 0 && (
        <div className="filmstrip" role="group" aria-label="Other participants" tabIndex={0}>
          {strip.map((tile) => (
            <TileView key={tile.key} tile={tile} scene={scene} />
          ))}
        </div>
      )}
    </div>
  );
}
