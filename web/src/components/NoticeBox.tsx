// A notice above the form: why the person is (again) on this page.
import type { Notice } from '../model/problem';
import { Icon } from './Icon';

export function NoticeBox({ notice }: { notice: Notice }) {
  const problem = notice.tone === 'problem';
  return (
    <div className={`notice ${notice.tone}`} role={problem ? 'alert' : 'status'} data-testid="notice">
      <Icon name={problem ? 'warning' : 'check'} />
      <div>
        <strong>{notice.title}</strong>
        <p>{notice.detail}</p>
      </div>
    </div>
  );
}
