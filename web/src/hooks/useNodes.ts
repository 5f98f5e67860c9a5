// The nodes of the mesh as the route to a room ranks them, for the picker.
import { route, type RouteNode } from '@origo/client';
import { useEffect, useState } from 'react';

const SETTLE_MS = 400;

/** Best first; empty while unknown. The room is typed letter by letter, so it is asked for when it has settled. */
export function useNodes(origin: string, room: string): RouteNode[] {
  const [nodes, setNodes] = useState<RouteNode[]>([]);

  useEffect(() => {
    const stop = new AbortController();
    const timer = setTimeout(() => {
      route({ cluster: origin, room, signal: stop.signal }).then((found) => setNodes(found.nodes), () => undefined);
    }, SETTLE_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [origin, room]);

  return nodes;
}
