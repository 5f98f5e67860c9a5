// A participant on one node through npm `@livekit/rtc-node`, that remembers what it was told.
import { Room, RoomEvent } from '@livekit/rtc-node';

/** Longest wait for something that is to happen; a busy machine included. */
const PATIENCE_MS = 15_000;

const present = new Set();

/** Everybody leaves. */
export async function leaveAll() {
  await Promise.all([...present].map((guest) => guest.leave()));
}

export class Guest {
  room = new Room();
  #seen = [];
  #waiting = new Set();

  constructor(identity) {
    this.identity = identity;
    for (const name of Object.values(RoomEvent)) {
      this.room.on(name, (...what) => {
        this.#seen.push({ name, at: performance.now(), what });
        for (const look of this.#waiting) look();
      });
    }
  }

  /** Joins by the `n`th node of a mesh. */
  async join(mesh, n, room, options = {}) {
    const token = await mesh.token(room, this.identity);
    present.add(this);
    await this.room.connect(mesh.nodes[n].url, token, { autoSubscribe: true, dynacast: true, ...options });
    return this;
  }

  get me() {
    return this.room.localParticipant;
  }

  /** How many events of a name there have been. */
  count(name) {
    return this.#seen.filter((event) => event.name === name).length;
  }

  /** The first event of that name that fits, whether it has been or is to come. */
  event(name, fits = () => true, patienceMs = PATIENCE_MS) {
    const look = () => this.#seen.find((event) => event.name === name && fits(...event.what));
    return new Promise((resolve, reject) => {
      const settle = (end, value) => {
        this.#waiting.delete(check);
        clearTimeout(timer);
        end(value);
      };
      const check = () => {
        const found = look();
        if (found) settle(resolve, found);
      };
      const timer = setTimeout(() => {
        const seen = this.#seen.map((event) => event.name).join(', ');
        settle(reject, new Error(`${this.identity} saw no ${name} within ${patienceMs} ms, but ${seen}`));
      }, patienceMs);
      this.#waiting.add(check);
      check();
    });
  }

  /** The track of a kind that somebody publishes. */
  async track(identity, kind) {
    const { what } = await this.event(
      RoomEvent.TrackSubscribed,
      (track, _, who) => who.identity === identity && track.kind === kind,
    );
    return { track: what[0], publication: what[1] };
  }

  /** Waits until somebody is known. */
  async sees(identity) {
    if (!this.room.remoteParticipants.has(identity)) {
      await this.event(RoomEvent.ParticipantConnected, (who) => who.identity === identity);
    }
    return this.room.remoteParticipants.get(identity);
  }

  leave() {
    present.delete(this);
    return this.room.disconnect();
  }
}

/** Guests of one room, each on its node, who know each other. */
export async function gather(mesh, room, nodesByIdentity, options) {
  const guests = await Promise.all(
    Object.entries(nodesByIdentity).map(([identity, n]) => new Guest(identity).join(mesh, n, room, options)),
  );
  for (const guest of guests) {
    for (const other of guests) if (other !== guest) await guest.sees(other.identity);
  }
  return guests;
}

/** Waits until something holds. */
export async function until(what, holds, patienceMs = PATIENCE_MS) {
  const deadline = performance.now() + patienceMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not within ${patienceMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
