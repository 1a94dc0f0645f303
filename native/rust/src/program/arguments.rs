//! What the program is asked for.

use std::ffi::OsString;
use std::path::PathBuf;

pub const HELP: &str = "\
Restores a recording with a network that 'resound export' wrote.

resound-native IN.wav OUT.wav --model FILE.onnx
resound-native --info --model FILE.onnx

  IN.wav           16-bit or 24-bit PCM or 32-bit float, at the model's sample rate
  OUT.wav          written whole or not at all, in the same format
  --model FILE     the streaming form of an exported network (default: the variable RESOUND_MODEL)
  --library PATH   libonnxruntime.so (default: the variable RESOUND_ONNXRUNTIME, else the system's)
  --strength 0..1  how much of what the network removes is removed (default: 1)
  --overwrite      replace OUT.wav
  --info           say what the model is
  --time           say how long a frame takes
  --help           this";

#[derive(Debug)]
pub struct Arguments {
    pub files: Option<(PathBuf, PathBuf)>, // None: only what the model is was asked for
    pub model: PathBuf,
    pub library: Option<PathBuf>,
    pub strength: f32,
    pub may_overwrite: bool,
    pub is_info: bool,
    pub is_time: bool,
}

#[derive(Debug)]
pub enum Wish {
    Help,
    Run(Arguments),
}

/// Reads the command line without the program's name.  An error is what is wrong.
pub fn parse(words: impl Iterator<Item = OsString>) -> Result<Wish, String> {
    let (mut files, mut model, mut library, mut strength) = (Vec::new(), None, None, 1.0);
    let (mut may_overwrite, mut is_info, mut is_time, mut is_only_files) = (false, false, false, false);
    let mut words = words;
    while let Some(word) = words.next() {
        let text = word.to_string_lossy().into_owned();
        if is_only_files || !text.starts_with('-') || text == "-" {
            files.push(PathBuf::from(word));
            continue;
        }
        let (flag, mut attached) = match text.split_once('=') {
            Some((flag, value)) => (flag, Some(OsString::from(value))),
            None => (text.as_str(), None),
        };
        let mut value = || attached.take().or_else(|| words.next()).ok_or_else(|| format!("{flag} wants a value"));
        match flag {
            "--model" => model = Some(PathBuf::from(value()?)),
            "--library" => library = Some(PathBuf::from(value()?)),
            "--strength" => strength = fraction(&value()?)?,
            "--overwrite" => may_overwrite = true,
            "--info" => is_info = true,
            "--time" => is_time = true,
            "--help" | "-h" => return Ok(Wish::Help),
            "--" => is_only_files = true,
            _ => return Err(format!("{text}: no such option")),
        }
        if attached.is_some() {
            return Err(format!("{flag} takes no value"));
        }
    }
    let model = model.or_else(|| std::env::var_os("RESOUND_MODEL").map(PathBuf::from));
    let model = model.ok_or("which model? give --model FILE.onnx, or set RESOUND_MODEL")?;
    let files = pair(files, is_info)?;
    Ok(Wish::Run(Arguments { files, model, library, strength, may_overwrite, is_info, is_time }))
}

fn pair(files: Vec<PathBuf>, is_info: bool) -> Result<Option<(PathBuf, PathBuf)>, String> {
    let n_files = files.len();
    match <[PathBuf; 2]>::try_from(files) {
        Ok([input, output]) => Ok(Some((input, output))),
        Err(_) if n_files == 0 && is_info => Ok(None),
        Err(_) => Err(format!("{n_files} files; give two: IN.wav OUT.wav")),
    }
}

fn fraction(text: &OsString) -> Result<f32, String> {
    let text = text.to_string_lossy();
    let value = text.parse::<f32>().ok().filter(|value| (0.0..=1.0).contains(value));
    value.ok_or_else(|| format!("--strength is {text}; give a number from 0 to 1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Wish, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn a_line_is_read() {
        let Ok(Wish::Run(found)) = parsed("a.wav --model=m.onnx b.wav --strength 0.25 --time --library l.so") else {
            panic!("not read")
        };
        assert_eq!(found.files, Some(("a.wav".into(), "b.wav".into())));
        assert_eq!((found.model, found.library), ("m.onnx".into(), Some("l.so".into())));
        assert_eq!((found.strength, found.is_time, found.is_info, found.may_overwrite), (0.25, true, false, false));
    }

    #[test]
    fn names_after_two_dashes_may_begin_with_one() {
        let Ok(Wish::Run(found)) = parsed("--model m -- -a.wav -b.wav") else { panic!("not read") };
        assert_eq!(found.files, Some(("-a.wav".into(), "-b.wav".into())));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, said) in [
            ("a b --model", "--model wants a value"),
            ("a b --model m --what", "--what: no such option"),
            ("a b --model m --time=3", "--time takes no value"),
            ("a --model m", "1 files"),
            ("--model m", "0 files"),
            ("a b c --model m --info", "3 files"),
            ("a b --model m --strength 1.5", "--strength is 1.5"),
            ("a b --model m --strength NaN", "--strength is NaN"),
        ] {
            let message = parsed(line).expect_err(line);
            assert!(message.contains(said), "{line}: {message}");
        }
    }
}
