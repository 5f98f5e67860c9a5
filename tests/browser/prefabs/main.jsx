// A page as LiveKit's documentation builds it: its own prefabs and styles alone. Server and token are in the query.
import '@livekit/components-styles';
import './page.css';
import { LiveKitRoom, PreJoin, VideoConference } from '@livekit/components-react';
import { useState } from 'react';
import { createRoot } from 'react-dom/client';

const query = new URLSearchParams(location.search);

function Page() {
  const [choices, setChoices] = useState(null);
  const [left, setLeft] = useState(false);
  if (left) return <p data-left>You left the room.</p>;
  if (!choices) return <PreJoin defaults={{ username: query.get('name') }} persistUserChoices={false} onSubmit={setChoices} />;
  return (
    <LiveKitRoom
      serverUrl={query.get('url')}
      token={query.get('token')}
      audio={choices.audioEnabled}
      video={choices.videoEnabled}
      onDisconnected={() => setLeft(true)}
    >
      <VideoConference />
    </LiveKitRoom>
  );
}

createRoot(document.getElementById('root')).render(<Page />);
