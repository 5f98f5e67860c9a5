// The mark: a point of origin and the rings it reaches.

export function Brand({ size = 28 }: { size?: number }) {
  return (
    <span className="brand">
      <svg aria-hidden="true" width={size} height={size} viewBox="0 0 32 32" fill="none" strokeLinecap="round">
        <g stroke="currentColor" strokeWidth="2.4">
          <path d="M16 3.5A12.5 12.5 0 0 1 28.5 16" />
          <path d="M16 28.5A12.5 12.5 0 0 1 3.5 16" />
          <path d="M22.5 16A6.5 6.5 0 1 1 16 9.5" opacity=".55" />
        </g>
        <circle cx="16" cy="16" r="2.6" fill="currentColor" />
      </svg>
      <span className="brand-name">Origo</span>
    </span>
  );
}
