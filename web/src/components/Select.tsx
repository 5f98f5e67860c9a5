// A labelled list of choices. The browser's own list opens: it is the most accessible one there is.
import { Icon, type IconName } from './Icon';

interface Choice {
  value: string;
  label: string;
}

interface Props {
  label: string;
  icon: IconName;
  value: string;
  choices: Choice[];
  onChange: (value: string) => void;
}

export function Select({ label, icon, value, choices, onChange }: Props) {
  const shown = choices.some((choice) => choice.value === value) ? value : (choices[0]?.value ?? '');
  return (
    <label className="select" title={label}>
      <Icon name={icon} size={18} />
      <select
        aria-label={label}
        value={shown}
        disabled={choices.length === 0}
        onChange={(event) => onChange(event.target.value)}
      >
        {choices.length === 0 && <option value="">No {label.toLowerCase()}</option>}
        {choices.map((choice) => (
          <option key={choice.value} value={choice.value}>
            {choice.label}
          </option>
        ))}
      </select>
      <Icon name="down" size={16} />
    </label>
  );
}

/** Devices as choices; names are hidden by the browser until a permission is given. */
export function deviceChoices(devices: MediaDeviceInfo[], kind: string): Choice[] {
  return devices.map((device, index) => ({ value: device.deviceId, label: device.label || `${kind} ${index + 1}` }));
}
