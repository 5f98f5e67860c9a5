// A pasted token, and where it leads.
import { useState } from 'react';
import { tokenProblem, type TokenClaims } from '../model/token';

interface Props {
  token: string;
  onToken: (token: string) => void;
  claims: TokenClaims | null;
}

export function TokenField({ token, onToken, claims }: Props) {
  const [openedAt] = useState(() => Date.now() / 1000);
  const problem = token.trim() === '' ? null : tokenProblem(claims, openedAt);
  return (
    <div className="token">
      <label className="field">
        <span>Access token</span>
        <textarea
          data-testid="join-token"
          value={token}
          onChange={(event) => onToken(event.target.value)}
          rows={3}
          spellCheck={false}
          autoComplete="off"
          placeholder="Paste the token you were given"
          aria-invalid={problem !== null}
          aria-describedby="token-says"
          required
        />
      </label>
      <p id="token-says" className={problem ? 'token-problem' : 'token-says'}>
        {problem ?? (claims ? <Leads claims={claims} /> : 'This node lets people in with a token from its operator.')}
      </p>
    </div>
  );
}

function Leads({ claims }: { claims: TokenClaims }) {
  return (
    <>
      For <strong>{claims.room || 'any room'}</strong>, as <strong>{claims.name || 'a guest'}</strong>
    </>
  );
}
