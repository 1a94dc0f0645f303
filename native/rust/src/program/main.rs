//! `resound-native IN.wav OUT.wav --model FILE.onnx`: restores a recording with an exported network, without Python.
#![forbid(unsafe_code)]

mod arguments;
mod delayed;
mod partial;
mod restore;
mod timing;
mod wav;
mod wav_header;

use std::process::ExitCode;

use arguments::{Arguments, Wish};
use resound::{Error, Facts, Model};

fn main() -> ExitCode {
    let wish = match arguments::parse(std::env::args_os().skip(1)) {
        Ok(wish) => wish,
        Err(message) => {
            eprintln!("resound-native: {message}; --help shows the use");
            return ExitCode::from(2);
        }
    };
    let done = match wish {
        Wish::Help => say(arguments::HELP),
        Wish::Run(arguments) => run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("resound-native: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Error> {
    let model = Model::open(&arguments.model, arguments.library.as_deref())?;
    if arguments.is_info {
        say(&table(model.facts()))?;
    }
    let Some((input, output)) = &arguments.files else { return Ok(()) };
    let report = restore::restore(&model, input, output, arguments)?;
    for note in &report.notes {
        eprintln!("resound-native: {note}");
    }
    if arguments.is_time {
        say(&report.timing)?;
    }
    Ok(())
}

/// Prints to standard output; that a reader has gone away is no failure.
fn say(text: &str) -> Result<(), Error> {
    use std::io::Write;
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::new(resound::Code::File, format!("standard output: cannot be written ({error})")))
        }
        _ => Ok(()),
    }
}

fn table(facts: &Facts) -> String {
    let milliseconds = |n_samples: usize| 1000.0 * n_samples as f64 / f64::from(facts.sample_rate);
    let rows = [
        ("name", facts.name.clone()),
        ("sample rate", format!("{} Hz", facts.sample_rate)),
        ("frame", format!("{} samples, {} ms", facts.frame_samples, milliseconds(facts.frame_samples))),
        ("latency", format!("{} samples, {} ms", facts.latency_samples, milliseconds(facts.latency_samples))),
        ("channels in", facts.n_channels.to_string()),
        ("channels out", facts.n_sources.to_string()),
        ("licence", facts.licence.clone()),
    ];
    rows.map(|(key, value)| format!("{key:<14}{value}")).join("\n")
}
