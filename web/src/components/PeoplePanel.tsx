// Who is in the call.
import { hueOf, initials } from '../model/name';
import type { Person } from '../model/tile';
import { Icon } from './Icon';

export function PeoplePanel({ people }: { people: Person[] }) {
  return (
    <ul className="people">
      {people.map((person) => (
        <li key={person.identity} data-testid="person" data-identity={person.identity}>
          <span className="avatar small" style={{ '--hue': hueOf(person.identity) } as React.CSSProperties}>
            {initials(person.name)}
          </span>
          <span className="people-name">
            {person.name}
            {person.local && ' (you)'}
          </span>
          {person.weak && <span className="people-weak">weak connection</span>}
          <span className="people-mic" data-speaking={person.speaking}>
            <Icon name={person.micOn ? 'mic' : 'micOff'} size={18} />
            <span className="unseen">{person.micOn ? 'microphone on' : 'muted'}</span>
          </span>
        </li>
      ))}
    </ul>
  );
}
