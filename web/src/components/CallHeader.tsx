// The line above the stage: the room, how long, and through which node.
import { useEffect, useState } from 'react';
import type { Connection } from '@origo/client';
import { durationText } from '../model/figures';
import { Brand } from './Brand';
import { InviteButton } from './InviteButton';
import { NodeChip } from './NodeChip';

export function CallHeader({ connection, roomName }: { connection: Connection; roomName: string }) {
  return (
    <header className="call-header">
      <Brand size={24} />
      <h1 title={roomName}>{roomName}</h1>
      <Duration />
      <div className="call-header-end">
        <InviteButton room={roomName} className="chip" />
        <NodeChip connection={connection} />
      </div>
    </header>
  );
}

function Duration() {
  const [startedAt] = useState(() => Date.now());
  const [now, setNow] = useState(startedAt);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return (
    <span className="call-duration" role="timer" aria-label="Duration of the call">
      {durationText(now - startedAt)}
    </span>
  );
}
