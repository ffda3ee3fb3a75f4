//! The operator's secret: 256 random bits in a file that only this account can read.
//!
//! Who can read the file sits at the machine as the operator; the command line sends it to the admin listener. It is
//! compared in constant time and never printed.

use std::fmt;
use std::path::Path;

use moongate_core::{Code, Problem};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::file::{self, Readers};

const BYTES: usize = 32;

/// The secret, as 64 hexadecimal digits.
#[derive(Clone)]
pub struct Secret {
    text: Zeroizing<String>,
}

impl Secret {
    /// Reads the file, or makes it (mode 0600).
    ///
    /// # Errors
    /// `KeyUnusable` if the file cannot be read or written, if others can read it, or if it holds something else.
    pub fn load_or_make(path: &Path) -> Result<Self, Problem> {
        if let Some(secret) = Self::load(path)? {
            return Ok(secret);
        }
        let mut bytes = [0_u8; BYTES];
        getrandom::fill(&mut bytes).map_err(|error| file::unusable(path, &error))?;
        let text = Zeroizing::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        if file::create(path, &format!("{}\n", *text), Readers::Owner)? {
            return Ok(Self { text });
        }
        Self::load(path)?.ok_or_else(|| file::unusable(path, &"it was removed while it was being read"))
    }

    /// Reads the file; `None` if there is none.
    ///
    /// # Errors
    /// As [`Secret::load_or_make`].
    pub fn load(path: &Path) -> Result<Option<Self>, Problem> {
        let Some(text) = file::read_private(path)? else { return Ok(None) };
        let text = Zeroizing::new(text.trim().to_owned());
        if text.len() == 2 * BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Some(Self { text }));
        }
        Err(Problem::new(Code::KeyUnusable, format!("{}: it does not hold 64 hexadecimal digits", path.display())))
    }

    /// Whether a caller presents this secret. Takes the same time for every text of the right length.
    pub fn matches(&self, presented: &str) -> bool {
        self.text.as_bytes().ct_eq(presented.as_bytes()).into()
    }

    /// The text, to present it.
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
