// The room's chat: text streams on the topic that LiveKit's own components use.
import type { Room } from 'livekit-client';
import { useCallback, useEffect, useState } from 'react';
import type { Message } from '../model/chat';

const TOPIC = 'lk.chat';
/** What a tab keeps; older messages are dropped. */
const KEPT = 500;

let lastId = 0;

export interface Chat {
  messages: Message[];
  send: (text: string) => void;
}

export function useChat(room: Room): Chat {
  const [messages, setMessages] = useState<Message[]>([]);

  useEffect(() => {
    room.registerTextStreamHandler(TOPIC, (reader, { identity }) => {
      void reader.readAll().then((text) => {
        const name = room.getParticipantByIdentity(identity)?.name || identity;
        const id = reader.info.id;
        setMessages((before) => append(before, { id, identity, name, text, at: Date.now(), local: false, state: 'sent' }));
      }, () => undefined);
    });
    return () => room.unregisterTextStreamHandler(TOPIC);
  }, [room]);

  const send = useCallback(
    (text: string) => {
      const { identity, name } = room.localParticipant;
      lastId += 1;
      const id = `own-${lastId}`;
      setMessages((before) =>
        append(before, { id, identity, name: name || identity, text, at: Date.now(), local: true, state: 'sending' }),
      );
      const settle = (state: Message['state']) =>
        setMessages((before) => before.map((message) => (message.id === id ? { ...message, state } : message)));
      room.localParticipant.sendText(text, { topic: TOPIC }).then(
        () => settle('sent'),
        () => settle('failed'),
      );
    },
    [room],
  );

  return { messages, send };
}

function append(messages: Message[], message: Message): Message[] {
  return [...messages, message].slice(-KEPT);
}
