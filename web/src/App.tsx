// The page: out of a call it is the join page, in a call the call page.
import { useEffect, useRef, useState } from 'react';
import { useCall } from './hooks/useCall';
import { useSettings } from './hooks/useSettings';
import { randomRoom } from './model/name';
import { parseQuery } from './model/query';
import { readToken } from './model/token';
import { isDemo } from './node/demo';
import { CallPage } from './pages/CallPage';
import { JoinPage } from './pages/JoinPage';

const origin = window.location.origin;
const query = parseQuery(window.location.search);

export function App() {
  // Null while it is not known yet.
  const [demo, setDemo] = useState<boolean | null>(query.token === '' ? null : false);
  const [invitedRoom] = useState(() => readToken(query.token)?.room || query.room || randomRoom());
  const [settings, changeSettings] = useSettings(query);
  const call = useCall(origin, demo === true);

  useEffect(() => {
    if (query.token === '') void isDemo(origin).then(setDemo);
  }, []);

  const autojoin = useRef(query.autojoin);
  useEffect(() => {
    if (!autojoin.current || demo === null || (!demo && query.token === '')) return;
    autojoin.current = false;
    call.join({
      ...settings, name: settings.name || 'Guest', room: invitedRoom, token: query.token, identity: query.identity, node: query.node,
    });
  }, [call, demo, settings, invitedRoom]);

  if (call.phase.kind === 'in') return <CallPage call={call.phase.call} onLeave={call.leave} />;
  return (
    <JoinPage
      origin={origin}
      query={query}
      demo={demo}
      invitedRoom={invitedRoom}
      settings={settings}
      onSettings={changeSettings}
      phase={call.phase}
      onJoin={call.join}
      onCancel={call.cancel}
    />
  );
}
