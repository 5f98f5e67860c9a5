// Short news over the stage.
import type { NewsItem } from '../hooks/useNews';

export function NewsList({ news }: { news: NewsItem[] }) {
  return (
    <div className="news" role="status" aria-live="polite">
      {news.map((item) => (
        <p key={item.id} className={item.problem ? 'news-item problem' : 'news-item'}>
          {item.text}
        </p>
      ))}
    </div>
  );
}
