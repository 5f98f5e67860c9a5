// Name and room on a demo node; elsewhere a token, which says both.
import { useState } from 'react';
import { useNodes } from '../hooks/useNodes';
import type { Settings } from '../hooks/useSettings';
import type { Query } from '../model/query';
import { readToken, tokenProblem } from '../model/token';
import type { JoinRequest } from '../node/call';
import { NodePicker } from './NodePicker';
import { TokenField } from './TokenField';

interface Props {
  origin: string;
  query: Query;
  demo: boolean | null;
  room: string;
  onRoom: (room: string) => void;
  settings: Settings;
  onName: (name: string) => void;
  /** What is being done while joining, else null. */
  step: string | null;
  onJoin: (request: JoinRequest) => void;
  onCancel: () => void;
}

export function JoinForm({ origin, query, demo, room, onRoom, settings, onName, step, onJoin, onCancel }: Props) {
  const [token, setToken] = useState(query.token);
  const [node, setNode] = useState(query.node);
  const nodes = useNodes(origin, room.trim());
  const claims = readToken(token);
  const withToken = demo === false;
  const ready = withToken ? claims !== null : room.trim() !== '' && settings.name.trim() !== '';

  const submit = () => {
    const { mic, camera, devices } = settings;
    const media = { mic, camera, devices, node, identity: query.identity };
    if (withToken) {
      const problem = tokenProblem(claims, Date.now() / 1000);
      if (claims && problem === null) onJoin({ ...media, token: token.trim(), name: claims.name, room: claims.room || room });
    } else {
      onJoin({ ...media, token: '', name: settings.name.trim(), room: room.trim() });
    }
  };

  return (
    <form
      className="join-form"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      {withToken ? (
        <TokenField token={token} onToken={setToken} claims={claims} />
      ) : (
        <>
          <label className="field">
            <span>Your name</span>
            <input
              data-testid="join-name"
              value={settings.name}
              onChange={(event) => onName(event.target.value)}
              autoComplete="name"
              maxLength={64}
              placeholder="How others see you"
              required
            />
          </label>
          <label className="field">
            <span>Room</span>
            <input
              data-testid="join-room"
              value={room}
              onChange={(event) => onRoom(event.target.value)}
              autoComplete="off"
              autoCapitalize="off"
              spellCheck={false}
              maxLength={128}
              required
            />
          </label>
        </>
      )}
      {demo && <NodePicker nodes={nodes} value={node} onChange={setNode} />}
      {step === null ? (
        <button className="primary" data-testid="join-button" disabled={!ready || demo === null}>
          Join the call
        </button>
      ) : (
        <div className="join-progress" role="status">
          <span className="spinner" aria-hidden="true" />
          <span>{step}</span>
          <button type="button" className="quiet" onClick={onCancel}>
            Cancel
          </button>
        </div>
      )}
    </form>
  );
}
