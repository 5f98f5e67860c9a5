// The person's own camera and microphone before the call: seen, heard, chosen, switched off.
import { useEffect, useRef } from 'react';
import { useCapture } from '../hooks/useCapture';
import { useDevices } from '../hooks/useDevices';
import { useLevel } from '../hooks/useLevel';
import type { Settings } from '../hooks/useSettings';
import { hueOf, initials } from '../model/name';
import { Icon } from './Icon';
import { deviceChoices, Select } from './Select';

interface Props {
  settings: Settings;
  onSettings: (change: Partial<Settings>) => void;
}

export function Preview({ settings, onSettings }: Props) {
  const { name, mic, camera, devices } = settings;
  const picture = useCapture('camera', camera, devices.camera);
  const voice = useCapture('microphone', mic, devices.mic);
  const list = useDevices(`${picture.stream?.id ?? ''}${voice.stream?.id ?? ''}`);
  const video = useRef<HTMLVideoElement>(null);
  const meter = useRef<HTMLDivElement>(null);
  useLevel(voice.stream, meter);

  useEffect(() => {
    if (video.current) video.current.srcObject = picture.stream;
  }, [picture.stream]);

  const choose = (kind: keyof Settings['devices']) => (deviceId: string) =>
    onSettings({ devices: { ...devices, [kind]: deviceId } });
  const problems = [picture.problem, voice.problem].filter((problem) => problem !== null);

  return (
    <section className="preview" aria-label="Camera and microphone">
      <div className="preview-picture">
        <video ref={video} className="mirrored" autoPlay muted playsInline hidden={!picture.stream} />
        {!picture.stream && (
          <div className="preview-empty">
            <span className="avatar" style={{ '--hue': hueOf(name || 'you') } as React.CSSProperties}>
              {name ? initials(name) : <Icon name="people" size={36} />}
            </span>
            <p>{camera ? (picture.problem ?? 'Starting the camera…') : 'Your camera is off'}</p>
          </div>
        )}
        <div className="preview-bar">
          <button
            type="button"
            className="control"
            aria-pressed={mic}
            aria-label="Microphone"
            title={mic ? 'Join with the microphone off' : 'Join with the microphone on'}
            data-testid="join-mic"
            onClick={() => onSettings({ mic: !mic })}
          >
            <Icon name={mic ? 'mic' : 'micOff'} />
          </button>
          <button
            type="button"
            className="control"
            aria-pressed={camera}
            aria-label="Camera"
            title={camera ? 'Join with the camera off' : 'Join with the camera on'}
            data-testid="join-camera"
            onClick={() => onSettings({ camera: !camera })}
          >
            <Icon name={camera ? 'camera' : 'cameraOff'} />
          </button>
          <div ref={meter} className="meter" role="img" aria-label="Microphone level" data-off={!voice.stream} />
        </div>
      </div>
      {problems.length > 0 && (
        <p className="preview-problem" role="status">
          {problems.join(' ')} You can join all the same.
        </p>
      )}
      <div className="preview-devices">
        <Select label="Camera" icon="camera" value={devices.camera} choices={deviceChoices(list.cameras, 'Camera')} onChange={choose('camera')} />
        <Select label="Microphone" icon="mic" value={devices.mic} choices={deviceChoices(list.microphones, 'Microphone')} onChange={choose('mic')} />
        {list.speakers.length > 0 && (
          <Select label="Speaker" icon="speaker" value={devices.speaker} choices={deviceChoices(list.speakers, 'Speaker')} onChange={choose('speaker')} />
        )}
      </div>
    </section>
  );
}
