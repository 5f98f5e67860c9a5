// The call: stage, controls and what opens beside them.
import { useState } from 'react';
import { Banner } from '../components/Banner';
import { CallHeader } from '../components/CallHeader';
import { ChatPanel } from '../components/ChatPanel';
import { Controls, type Panel } from '../components/Controls';
import { DeviceSelects } from '../components/DeviceMenu';
import { NewsList } from '../components/NewsList';
import { PeoplePanel } from '../components/PeoplePanel';
import { SidePanel } from '../components/SidePanel';
import { Sounds } from '../components/Sounds';
import { Stage } from '../components/Stage';
import { useChat } from '../hooks/useChat';
import { useMedia } from '../hooks/useMedia';
import { useNews } from '../hooks/useNews';
import { useRoom } from '../hooks/useRoom';
import { useShortcuts } from '../hooks/useShortcuts';
import { useTitle } from '../hooks/useTitle';
import { useWakeLock } from '../hooks/useWakeLock';
import type { Call } from '../node/call';

/** Nothing is switched on by itself. */
const NOTHING = { mic: false, camera: false };

export function CallPage({ call, onLeave }: { call: Call; onLeave: () => void }) {
  const { connection, request, token } = call;
  const { room, node } = connection;
  const picture = useRoom(room);
  const chat = useChat(room);
  const { news, tell } = useNews(room);
  const media = useMedia(room, call.continues ? NOTHING : request, tell);
  const [panel, setPanel] = useState<Panel>(null);
  const [seen, setSeen] = useState(0);
  const roomName = room.name || request.room;

  // What was read counts up to the moment when the chat is closed.
  const read = panel === 'chat' ? chat.messages.length : seen;
  const unread = chat.messages.slice(read).filter((message) => !message.local).length;
  const showPanel = (next: Panel) => {
    setSeen(chat.messages.length);
    setPanel(next);
  };

  useTitle(unread > 0 ? `(${unread}) ${roomName}` : roomName);
  useWakeLock();
  useShortcuts({
    m: media.toggleMic,
    v: media.toggleCamera,
    c: () => showPanel(panel === 'chat' ? null : 'chat'),
  });

  return (
    <div className="call" data-testid="call" data-panel={panel ?? 'none'}>
      <CallHeader connection={connection} roomName={roomName} />
      <Banner room={room} picture={picture} />
      <main className="call-main">
        <Stage
          picture={picture}
          source={{ nodeUrl: node.url, room: roomName, token }}
          home={[{ node: node.id, region: node.region }]}
          roomName={roomName}
        />
        <NewsList news={news} />
      </main>
      {panel === 'chat' && (
        <SidePanel title="Chat" onClose={() => showPanel(null)}>
          <ChatPanel chat={chat} />
        </SidePanel>
      )}
      {panel === 'people' && (
        <SidePanel title="Participants" onClose={() => showPanel(null)}>
          <PeoplePanel people={picture.people} />
          <DeviceSelects room={room} onProblem={(thrown) => media.deviceProblem('microphone', thrown)} />
        </SidePanel>
      )}
      <Controls
        room={room}
        picture={picture}
        panel={panel}
        unread={unread}
        actions={{ ...media, showPanel, leave: onLeave }}
      />
      <Sounds sounds={picture.sounds} />
    </div>
  );
}
