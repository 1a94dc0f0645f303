//! What goes wrong, as a code for programs and a line for people.

use std::fmt;

/// What kind of thing went wrong; the numbers are those of `resound.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// What was given to a function cannot be: a null pointer, a frame of another size.
    Argument = 1,
    /// onnxruntime is not there, or too old.
    Library = 2,
    /// A file cannot be read or written.
    File = 3,
    /// The file is no model, is damaged, or is none that streams.
    Model = 4,
    /// onnxruntime failed in a frame.
    Run = 5,
    /// A bug here.
    Internal = 6,
}

/// A failure: its kind, and one line that says what, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The kind.
    pub code: Code,
    /// One line.
    pub message: String,
}

impl Error {
    /// Makes an error; line breaks in the message become spaces.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let message = message.into().split_whitespace().collect::<Vec<_>>().join(" ");
        Error { code, message }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line() {
        assert_eq!(Error::new(Code::Run, "a\nb\r\n  c ").to_string(), "a b c");
    }
}
