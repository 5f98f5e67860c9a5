// Copies the link of the room.
import { useEffect, useState } from 'react';
import { inviteLink } from '../model/query';
import { Icon } from './Icon';

const CONFIRMED_MS = 2000;

export function InviteButton({ room, className }: { room: string; className: string }) {
  const [copied, setCopied] = useState(false);
  const link = inviteLink(window.location.href, room);

  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), CONFIRMED_MS);
    return () => clearTimeout(timer);
  }, [copied]);

  const copy = () => {
    const clipboard = navigator.clipboard as Clipboard | undefined;
    // Without a clipboard (an http page on another machine) the link is shown to be copied by hand.
    if (clipboard) clipboard.writeText(link).then(() => setCopied(true), () => window.prompt('The link of this room', link));
    else window.prompt('The link of this room', link);
  };

  return (
    <button type="button" className={className} data-testid="invite" onClick={copy} title="Copy the link of this room">
      <Icon name={copied ? 'check' : 'link'} size={18} />
      <span aria-live="polite">{copied ? 'Copied' : 'Copy link'}</span>
    </button>
  );
}
