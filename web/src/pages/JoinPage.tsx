// Before the call: who, where, and with which devices.
import { useState } from 'react';
import { Brand } from '../components/Brand';
import { JoinForm } from '../components/JoinForm';
import { NoticeBox } from '../components/NoticeBox';
import { Preview } from '../components/Preview';
import type { Phase } from '../hooks/useCall';
import type { Settings } from '../hooks/useSettings';
import type { Query } from '../model/query';
import type { JoinRequest } from '../node/call';

interface Props {
  origin: string;
  query: Query;
  /** Whether the node gives tokens itself; null while unknown. */
  demo: boolean | null;
  invitedRoom: string;
  settings: Settings;
  onSettings: (change: Partial<Settings>) => void;
  phase: Exclude<Phase, { kind: 'in' }>;
  onJoin: (request: JoinRequest) => void;
  onCancel: () => void;
}

export function JoinPage({ origin, query, demo, invitedRoom, settings, onSettings, phase, onJoin, onCancel }: Props) {
  const [room, setRoom] = useState(invitedRoom);
  const notice = phase.kind === 'out' ? phase.notice : null;
  return (
    <div className="join">
      <header className="join-header">
        <Brand />
      </header>
      {notice && <NoticeBox notice={notice} />}
      <main className="join-main">
        <Preview settings={settings} onSettings={onSettings} />
        <div className="join-side">
          <h1>Ready when you are</h1>
          <p className="join-lead">The call is carried by the node next to you, and by the one next to everybody else.</p>
          <JoinForm
            origin={origin}
            query={query}
            demo={demo}
            room={room}
            onRoom={setRoom}
            settings={settings}
            onName={(name) => onSettings({ name })}
            step={phase.kind === 'joining' ? phase.step : null}
            onJoin={onJoin}
            onCancel={onCancel}
          />
        </div>
      </main>
    </div>
  );
}
