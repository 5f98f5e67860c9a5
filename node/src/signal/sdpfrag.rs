//! Session description fragments (RFC 8840): what a client sends to trickle candidates or to restart ICE, and what it
//! is answered.

/// The largest fragment, bytes: some hundred candidates.
pub(super) const FRAGMENT_BYTES_MAX: usize = 32 * 1024;
/// Candidates that are taken from one fragment.
const CANDIDATES_MAX: usize = 64;
/// Longest ufrag and password, characters (RFC 8839 5.4).
const CREDENTIAL_MAX: usize = 256;

/// Why a text is no fragment. The sentences go to the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FragmentError {
    /// Not UTF-8, or a line that is none.
    #[error("the fragment is malformed: {0:?} is no line of a session description")]
    Line(String),
    /// More candidates than are taken.
    #[error("the fragment has more than {CANDIDATES_MAX} candidates")]
    TooMany,
    /// Nothing in it says anything.
    #[error("the fragment has neither candidates nor `a=ice-ufrag`")]
    Empty,
    /// A name without its password, or the other way round.
    #[error("the fragment must have `a=ice-ufrag` (4 to 256 characters) and `a=ice-pwd` (22 to 256) together")]
    Credentials,
}

/// A fragment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fragment {
    /// The client's ICE name and password, when it says them.
    pub credentials: Option<(String, String)>,
    /// Each with its section's mid, as far as it is told; `candidate:…`.
    pub candidates: Vec<(Option<String>, String)>,
    /// There will be no more.
    pub is_last: bool,
}

/// Reads a fragment.
pub(super) fn read(text: &str) -> Result<Fragment, FragmentError> {
    let mut fragment = Fragment::default();
    let (mut ufrag, mut password, mut mid) = (None, None, None);
    for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        let attribute = match line.split_once('=') {
            Some(("a", attribute)) => attribute,
            Some((kind, _)) if kind.len() == 1 => continue,
            _ => return Err(FragmentError::Line(line.chars().take(64).collect())),
        };
        match attribute.split_once(':').unwrap_or((attribute, "")) {
            ("ice-ufrag", value) => ufrag = Some(value),
            ("ice-pwd", value) => password = Some(value),
            ("mid", value) => mid = Some(value.to_owned()),
            ("end-of-candidates", _) => fragment.is_last = true,
            ("candidate", _) if fragment.candidates.len() == CANDIDATES_MAX => return Err(FragmentError::TooMany),
            ("candidate", _) => fragment.candidates.push((mid.clone(), attribute.to_owned())),
            _ => {}
        }
    }
    fragment.credentials = credentials(ufrag, password)?;
    if fragment.credentials.is_none() && fragment.candidates.is_empty() && !fragment.is_last {
        return Err(FragmentError::Empty);
    }
    Ok(fragment)
}

fn credentials(ufrag: Option<&str>, password: Option<&str>) -> Result<Option<(String, String)>, FragmentError> {
    let (ufrag, password) = match (ufrag, password) {
        (None, None) => return Ok(None),
        (Some(ufrag), Some(password)) => (ufrag, password),
        _ => return Err(FragmentError::Credentials),
    };
    let is_ice = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/');
    let fits = |text: &str, min: usize| (min..=CREDENTIAL_MAX).contains(&text.len()) && is_ice(text);
    if fits(ufrag, 4) && fits(password, 22) {
        Ok(Some((ufrag.to_owned(), password.to_owned())))
    } else {
        Err(FragmentError::Credentials)
    }
}

/// The offer that a client would have made with this fragment: its own first one with new ICE credentials and
/// candidates. Nothing else changes in an ICE restart (RFC 9725 4.3.3).
pub(super) fn restarted(
    offer: &str,
    credentials: &(String, String),
    candidates: &[(Option<String>, String)],
) -> String {
    let mut text = String::with_capacity(offer.len() + 1024);
    let mut is_first = true;
    for line in offer.lines().map(str::trim_end) {
        if line.starts_with("a=candidate:") || line == "a=end-of-candidates" {
            continue;
        }
        if line.starts_with("a=ice-ufrag:") {
            push(&mut text, &format!("a=ice-ufrag:{}", credentials.0));
            // One transport carries everything, so the first section's candidates are all.
            for (_, candidate) in candidates.iter().filter(|_| std::mem::take(&mut is_first)) {
                push(&mut text, &format!("a={candidate}"));
            }
        } else if line.starts_with("a=ice-pwd:") {
            push(&mut text, &format!("a=ice-pwd:{}", credentials.1));
        } else {
            push(&mut text, line);
        }
    }
    text
}

/// The part of our answer that an ICE restart changes.
pub(super) fn of_answer(answer: &str) -> String {
    let mut text = String::new();
    let mut sections = 0;
    for line in answer.lines().map(str::trim_end) {
        sections += usize::from(line.starts_with("m="));
        let wanted = [
            "a=ice-lite",
            "a=group:",
            "m=",
            "a=mid:",
            "a=ice-ufrag:",
            "a=ice-pwd:",
            "a=candidate:",
            "a=end-of-candidates",
        ];
        if sections <= 1 && wanted.iter().any(|start| line.starts_with(start)) {
            push(&mut text, line);
        }
    }
    text
}

fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::offer::tests::PUBLISHING;
    use super::*;

    const PASSWORD: &str = "abcdefghijklmnopqrstuvwx";

    #[test]
    fn candidates_and_credentials_are_read() {
        let text = format!(
            "a=ice-ufrag:EsAw\r\na=ice-pwd:{PASSWORD}\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n\
             a=candidate:1 1 udp 2 198.51.100.1 9 typ host\r\na=end-of-candidates\r\n"
        );
        let fragment = read(&text).unwrap();
        assert_eq!(fragment.credentials, Some(("EsAw".to_owned(), PASSWORD.to_owned())));
        let candidate = "candidate:1 1 udp 2 198.51.100.1 9 typ host";
        assert_eq!(fragment.candidates, [(Some("0".to_owned()), candidate.to_owned())]);
        assert!(fragment.is_last);
    }

    #[test]
    fn what_says_nothing_or_half_is_refused() {
        assert_eq!(read(""), Err(FragmentError::Empty));
        assert_eq!(read("a=mid:0\r\n"), Err(FragmentError::Empty));
        assert_eq!(read("hello"), Err(FragmentError::Line("hello".to_owned())));
        for text in ["a=ice-ufrag:EsAw", "a=ice-pwd:abc", "a=ice-ufrag:E\r\na=ice-pwd:abcdefghijklmnopqrstuvwx"] {
            assert_eq!(read(text), Err(FragmentError::Credentials), "{text}");
        }
        assert_eq!(read(&"a=candidate:1\r\n".repeat(CANDIDATES_MAX + 1)), Err(FragmentError::TooMany));
    }

    #[test]
    fn a_restart_changes_credentials_and_candidates_of_the_offer_alone() {
        let credentials = ("NEWu".to_owned(), PASSWORD.to_owned());
        let restarted = restarted(PUBLISHING, &credentials, &[(None, "candidate:1".to_owned())]);
        assert_eq!(restarted.matches("a=ice-ufrag:NEWu\r\n").count(), 2);
        assert_eq!(restarted.matches(&format!("a=ice-pwd:{PASSWORD}\r\n")).count(), 2);
        assert!(!restarted.contains("abcd\r\n"));
        let others = |text: &str| {
            text.lines()
                .filter(|line| !line.contains("ice-") && !line.contains("candidate"))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(others(&restarted), others(PUBLISHING));
    }

    #[test]
    fn the_fragment_of_an_answer_is_itself_one() {
        let fragment = read(&of_answer(PUBLISHING)).unwrap();
        assert_eq!(fragment.credentials.unwrap().0, "abcd");
        assert_eq!(of_answer(PUBLISHING).matches("m=").count(), 1);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(a=|a=candidate:|a=ice-ufrag:|a=ice-pwd:|m=|[ -~\r\n]){0,100}") {
            if let Ok(fragment) = read(&text) {
                prop_assert!(fragment.candidates.len() <= CANDIDATES_MAX);
                let credentials = fragment.credentials.unwrap_or_default();
                let _ = of_answer(&restarted(&text, &credentials, &fragment.candidates));
            }
        }
    }
}
