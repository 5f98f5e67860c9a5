import { OrigoError } from '@origo/client';
import { DisconnectReason } from 'livekit-client';
import { describe, expect, it } from 'vitest';
import { deviceProblem, farewell, joinProblem } from './problem';

describe('a problem', () => {
  it('of joining says the reason and a way out', () => {
    expect(joinProblem(new OrigoError('not_allowed', 'The token was refused: expired'), false)).toEqual({
      tone: 'problem', title: 'You were not let in', detail: 'The token was refused: expired. Ask for a new invitation.',
    });
    expect(joinProblem(new Error('boom'), true)?.detail).toBe('boom');
  });

  it('is none when the person gave up', () => {
    expect(joinProblem(new OrigoError('cancelled', ''), true)).toBeNull();
  });

  it('of a device names the device and the cause', () => {
    expect(deviceProblem('camera', new DOMException('', 'NotFoundError'))).toBe('No camera was found.');
    for (const name of ['NotAllowedError', 'NotReadableError', 'InsecureContextError', 'Other']) {
      expect(deviceProblem('microphone', new DOMException('', name))).toMatch(/microphone.*\.$/);
    }
  });
});

it('a call that was left is no problem, a lost one is', () => {
  expect(farewell(DisconnectReason.CLIENT_INITIATED, 'stand-up')).toMatchObject({ tone: 'info', title: 'You left stand-up' });
  expect(farewell(undefined, 'stand-up').tone).toBe('problem');
});
