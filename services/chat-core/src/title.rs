//! Rooms' titles. Others choose a room by what they see, so what can't be seen is refused.

use unicode_normalization::UnicodeNormalization;

use crate::error::{ChatError, Code, Result};

/// A room's title: 1 to 80 characters, composed (NFC), no space at either end, none of them a
/// control character or invisible but where emoji and scripts need it, and not the lobby's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Title(String);

impl Title {
    /// Most characters.
    pub const MAX: usize = 80;

    /// The lobby's.
    pub const LOBBY: &str = "Lobby";

    /// Trims both ends and composes, then checks the rules. Fails with `invalid_name`, or with
    /// `name_taken` if it reads like the lobby's.
    pub fn parse(raw: &str) -> Result<Self> {
        // What is far too long is refused as it is.
        let raw = raw.trim();
        let is_absurd = raw.chars().nth(Self::MAX * 4).is_some();
        let title: String = if is_absurd { raw.to_owned() } else { raw.nfc().collect() };
        if !(1..=Self::MAX).contains(&title.chars().count()) || has_unseen(&title) {
            return Err(ChatError::new(
                Code::InvalidName,
                "a room's name is 1 to 80 characters, none of them invisible or a control character",
            ));
        }
        let plain: String = title.nfkc().flat_map(char::to_lowercase).collect();
        if plain == Self::LOBBY.to_lowercase() {
            let sentence = "a room can't be called like the lobby";
            return Err(ChatError::new(Code::NameTaken, sentence));
        }
        Ok(Self(title))
    }

    /// As typed, composed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What makes it unique: the same for every letter case.
    #[must_use]
    pub fn key(&self) -> String {
        self.0.to_lowercase()
    }
}

/// Is there a character in it that nobody would see?
fn has_unseen(title: &str) -> bool {
    let (mut before, mut is_flag) = (None, false);
    let mut rest = title.chars().peekable();
    while let Some(c) = rest.next() {
        is_flag = c == BLACK_FLAG || (is_flag && is_tag(c));
        let belongs = match c {
            ZWNJ => before.is_some_and(shapes) && rest.peek().copied().is_some_and(shapes),
            ZWJ => {
                let joins = |c| shapes(c) || is_pictorial(c);
                before.is_some_and(joins) && rest.peek().copied().is_some_and(joins)
            }
            // As a picture, or as text: digits are pictures on keycaps.
            '\u{fe0e}' | '\u{fe0f}' => {
                before.is_some_and(|c| is_pictorial(c) || matches!(c, '#' | '*' | '0'..='9'))
            }
            c if is_tag(c) => is_flag,
            c => !is_unseen(c),
        };
        if !belongs {
            return true;
        }
        before = Some(c);
    }
    false
}

const ZWNJ: char = '\u{200c}';
const ZWJ: char = '\u{200d}';

/// Before tags it becomes the flag of a region.
const BLACK_FLAG: char = '\u{1f3f4}';

const fn is_tag(c: char) -> bool {
    matches!(c, '\u{e0020}'..='\u{e007f}')
}

/// Control characters, those that change the direction of what follows, line ends, blanks that are
/// no spaces, and what Unicode lets programs ignore (Default_Ignorable_Code_Point).
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Is it of a script whose letters change by what joins them: Arabic, those of India, Mongolian?
const fn shapes(c: char) -> bool {
    matches!(c,
        '\u{620}'..='\u{8ff}' | '\u{900}'..='\u{dff}' | '\u{1820}'..='\u{18aa}'
        | '\u{fb50}'..='\u{fdff}')
}

/// Is it, or may it be, a part of an emoji?
const fn is_pictorial(c: char) -> bool {
    matches!(c,
        '\u{a9}' | '\u{ae}' | '\u{203c}' | '\u{2049}' | '\u{2122}' | '\u{2139}'
        | '\u{2190}'..='\u{21ff}' | '\u{2300}'..='\u{23ff}' | '\u{24c2}'
        | '\u{25a0}'..='\u{27bf}' | '\u{2900}'..='\u{297f}' | '\u{2b00}'..='\u{2bff}'
        | '\u{3030}' | '\u{303d}' | '\u{3297}' | '\u{3299}' | '\u{fe0f}'
        | '\u{1f000}'..='\u{1faff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(raw: &str) -> Code {
        Title::parse(raw).expect_err("refused").code()
    }

    #[test]
    fn titles_differing_in_case_or_composition_only_share_a_key() {
        let key = |raw| Title::parse(raw).expect("fine").key();
        assert_eq!(key(" ÉCOLE "), key("école"));
        assert_eq!(key("cafe\u{301}"), key("caf\u{e9}"));
        assert_ne!(key("école"), key("ecole"));
        assert_eq!(Title::parse("cafe\u{301}").expect("fine").as_str(), "caf\u{e9}");
    }

    #[test]
    fn a_title_has_so_many_characters_once_composed() {
        assert!(Title::parse(&"e\u{301}".repeat(80)).is_ok());
        for bad in ["", " \t ", &"x".repeat(81), &"e\u{301}".repeat(81), &"x".repeat(100_000)] {
            assert_eq!(code(bad), Code::InvalidName);
        }
    }

    #[test]
    fn what_nobody_sees_is_refused() {
        for unseen in [
            "a\nb",
            "Sports\u{200b}",
            "\u{2066}Sports",
            "\u{202e}stropS",
            "spo\u{ad}rts",
            "\u{feff}a",
            "a\u{2028}b",
            "\u{3164}",
            "\u{2800}",
            "Sp\u{200d}orts",
            "Sp\u{200c}orts",
            "Sports\u{fe0f}",
            "\u{200d}\u{1f525}",
            "\u{1f525}\u{200d}",
            "a\u{e0061}",
            "\u{1f525}\u{e0061}",
            "\u{180e}a",
        ] {
            assert_eq!(code(unseen), Code::InvalidName, "{}", unseen.escape_unicode());
        }
    }

    #[test]
    fn emoji_and_scripts_keep_what_joins_them() {
        for fine in [
            "👩\u{200d}💻 coders",
            "❤\u{fe0f}\u{200d}🔥",
            "🏳\u{fe0f}\u{200d}🌈",
            "👋🏽",
            "1\u{fe0f}\u{20e3}",
            "👩🏽\u{200d}🤝\u{200d}👨🏻",
            "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
            "می\u{200c}خواهم",
            "क्\u{200d}ष",
            "שלום",
            "日本語",
            "O'Neil & søn",
            "🇩🇪",
        ] {
            assert!(Title::parse(fine).is_ok(), "{fine}");
        }
    }

    #[test]
    fn no_room_reads_like_the_lobby() {
        for like in ["Lobby", " LOBBY ", "ＬＯＢＢＹ", "ⓛⓞⓑⓑⓨ", "𝐋𝐨𝐛𝐛𝐲"]
        {
            assert_eq!(code(like), Code::NameTaken, "{like}");
        }
        assert!(Title::parse("Lobby 2").is_ok());
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_typed_a_title_parses_again_to_itself(raw: String) {
            if let Ok(title) = Title::parse(&raw) {
                assert_eq!(Title::parse(title.as_str()).expect("fine"), title);
            }
        }
    }
}
