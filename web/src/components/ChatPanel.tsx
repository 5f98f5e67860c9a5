// The chat of the call.
import { useEffect, useRef, useState } from 'react';
import type { Chat } from '../hooks/useChat';
import { piecesOf, runsOf, type Message, type Run } from '../model/chat';
import { Icon } from './Icon';

export function ChatPanel({ chat }: { chat: Chat }) {
  const [draft, setDraft] = useState('');
  const end = useRef<HTMLDivElement>(null);
  const runs = runsOf(chat.messages);

  useEffect(() => {
    end.current?.scrollIntoView({ block: 'end' });
  }, [chat.messages.length]);

  const send = () => {
    const text = draft.trim();
    if (text === '') return;
    chat.send(text);
    setDraft('');
  };

  return (
    <>
      <div className="chat-log" role="log" aria-label="Messages" tabIndex={0}>
        {runs.length === 0 && (
          <div className="chat-empty">
            <Icon name="chat" size={30} />
            <p>Messages are for those who are in the call now, and are gone after it.</p>
          </div>
        )}
        {runs.map((run) => (
          <RunView key={run.messages[0]?.id} run={run} onAgain={chat.send} />
        ))}
        <div ref={end} />
      </div>
      <form
        className="chat-form"
        onSubmit={(event) => {
          event.preventDefault();
          send();
        }}
      >
        <textarea
          data-testid="chat-input"
          aria-label="Message"
          placeholder="Write to everybody"
          rows={1}
          maxLength={4000}
          autoFocus
          value={draft}
          onChange={(event) => setDraft(event.target.value)}
          onKeyDown={(event) => {
            if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
            event.preventDefault();
            send();
          }}
        />
        <button type="submit" data-testid="chat-send" aria-label="Send" disabled={draft.trim() === ''}>
          <Icon name="send" />
        </button>
      </form>
    </>
  );
}

function RunView({ run, onAgain }: { run: Run; onAgain: (text: string) => void }) {
  return (
    <section className="chat-run" data-local={run.local}>
      <header>
        <strong>{run.local ? 'You' : run.author}</strong>
        <time dateTime={new Date(run.at).toISOString()}>
          {new Date(run.at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })}
        </time>
      </header>
      {run.messages.map((message) => (
        <MessageView key={message.id} message={message} onAgain={onAgain} />
      ))}
    </section>
  );
}

function MessageView({ message, onAgain }: { message: Message; onAgain: (text: string) => void }) {
  return (
    <div className="chat-line" data-state={message.state}>
      <p data-testid="chat-message" data-identity={message.identity}>
        {piecesOf(message.text).map((piece, index) =>
          piece.href === null ? (
            piece.text
          ) : (
            <a key={index} href={piece.href} target="_blank" rel="noreferrer noopener">
              {piece.text}
            </a>
          ),
        )}
      </p>
      {message.state === 'failed' && (
        <button type="button" className="chat-again" onClick={() => onAgain(message.text)}>
          Not sent. Try again
        </button>
      )}
    </div>
  );
}
