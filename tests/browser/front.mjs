// What stands in front of nodes under one name, as a load balancer or a DNS name with several addresses does: each TCP
// connection goes to the first node that answers. Connections can be cut.
import { connect, createServer } from 'node:net';

/** Listens for clients of these nodes; `url` is what clients connect to. */
export async function startFront(nodes) {
  const ports = nodes.map((node) => Number(new URL(node.url).port));
  const open = new Set();
  let holdsUntil = 0;

  const track = (socket) => {
    open.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => open.delete(socket));
    return socket;
  };

  /** Connects to the first of the ports that answers. */
  function reach(client, [port, ...others]) {
    if (port === undefined) return client.destroy();
    const node = connect(port, '127.0.0.1');
    node.once('error', () => reach(client, others));
    node.once('connect', () => {
      node.removeAllListeners('error');
      track(node);
      client.pipe(node).pipe(client);
      client.on('close', () => node.destroy());
      node.on('close', () => client.destroy());
    });
  }

  const server = createServer((client) => {
    track(client);
    setTimeout(reach, Math.max(0, holdsUntil - performance.now()), client, ports);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

  const cut = () => open.forEach((socket) => socket.destroy());
  return {
    url: `ws://127.0.0.1:${server.address().port}`,
    /** Cuts every connection, and lets new ones wait for a while. */
    cut(holdMs = 0) {
      holdsUntil = performance.now() + holdMs;
      cut();
    },
    close() {
      server.close();
      cut();
    },
  };
}
