//! An exported file: what it says of itself, checked against the graph that is in it.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Code, Error};
use crate::onnxruntime::{Runtime, Session, Turns};
use crate::state::{Kind, StateTensor, Tensor};

/// The version of the metadata that is read here.
const VERSION: &str = "1";
/// Larger numbers are a file that is damaged, or means harm.
const MOST_WHOLE: u32 = 100_000_000;
/// Of onnxruntime's messages, which can be long.
const MOST_REASON_CHARACTERS: usize = 120;

/// What a model is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its title.
    pub name: String,
    /// Of its weights.
    pub licence: String,
    /// In Hz.
    pub sample_rate: u32,
    /// Samples of each channel in a frame.
    pub frame_samples: usize,
    /// By how many samples what comes out is late.
    pub latency_samples: usize,
    /// Channels of a frame in.
    pub n_channels: usize,
    /// Channels of a frame out.
    pub n_sources: usize,
}

impl Facts {
    /// Values of a frame in, all channels.
    pub fn samples_in(&self) -> usize {
        self.n_channels * self.frame_samples
    }

    /// Values of a frame out, all channels.
    pub fn samples_out(&self) -> usize {
        self.n_sources * self.frame_samples
    }
}

/// A file that was opened.  Clones share it.
#[derive(Clone)]
pub struct Model {
    session: Arc<Session>,
    facts: Arc<Facts>,
    frame: Tensor,
    sound: Tensor,
    states: Arc<Vec<StateTensor>>,
}

impl Model {
    /// Opens the streaming form of an exported network.
    ///
    /// `library` is the path of libonnxruntime; without it the variable `RESOUND_ONNXRUNTIME` is looked at, then the
    /// system.  A library stays loaded until the process ends.
    pub fn open(path: &Path, library: Option<&Path>) -> Result<Model, Error> {
        check_readable(path)?;
        let runtime = Runtime::open(library)?;
        let wrong = |what: String| Error::new(Code::Model, format!("{}: {what}", path.display()));
        let session = Session::open(runtime, path).map_err(|error| {
            let reason: String = error.message.chars().take(MOST_REASON_CHARACTERS).collect();
            wrong(format!("is not an ONNX model that can be run ({reason}); export it again"))
        })?;
        let (facts, states) = told_by(&session).map_err(&wrong)?;
        let (frame, sound) = checked_graph(&session, &facts, &states).map_err(&wrong)?;
        Ok(Model { session: Arc::new(session), facts: Arc::new(facts), frame, sound, states: Arc::new(states) })
    }

    /// What the file says of itself.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    pub(crate) fn turns(&self) -> Result<Turns, Error> {
        Turns::new(&self.session, &self.frame, &self.sound, &self.states)
    }
}

fn check_readable(path: &Path) -> Result<(), Error> {
    let wrong = |what: String| Error::new(Code::File, format!("{}: {what}", path.display()));
    let about = std::fs::metadata(path)
        .map_err(|error| wrong(format!("no such model file ({error}); give the path of an .onnx file")))?;
    if !about.is_file() {
        return Err(wrong("is no file; give the path of an .onnx file".to_string()));
    }
    std::fs::File::open(path)
        .map(drop)
        .map_err(|error| wrong(format!("cannot be read ({error}); give the path of an .onnx file")))
}

/// Reads the metadata.
fn told_by(session: &Session) -> Result<(Facts, Vec<StateTensor>), String> {
    let keys = [
        c"resound_onnx",
        c"form",
        c"name",
        c"licence",
        c"sample_rate",
        c"frame_samples",
        c"latency_samples",
        c"n_channels",
        c"n_sources",
        c"states",
    ];
    let [version, form, name, licence, rate, frame, latency, n_channels, n_sources, states] =
        session.metadata(keys).map_err(|error| error.message)?;
    match version.as_deref() {
        None => return Err("is a model, but none that 'resound export' wrote; export it with that".to_string()),
        Some(VERSION) => {}
        Some(other) => {
            return Err(format!("is of version {other:?} of the format, and this reads {VERSION}; update it"))
        }
    }
    if form.as_deref() != Some("streaming") {
        let remedy = "to stream, export the network with --streaming (causal ones can)";
        return Err(format!("is for whole recordings; {remedy}"));
    }
    let facts = Facts {
        name: name.unwrap_or_default(),
        licence: licence.unwrap_or_default(),
        sample_rate: whole("sample_rate", rate, 1)?,
        frame_samples: whole("frame_samples", frame, 1)? as usize,
        latency_samples: whole("latency_samples", latency, 0)? as usize,
        n_channels: whole("n_channels", n_channels, 1)? as usize,
        n_sources: whole("n_sources", n_sources, 1)? as usize,
    };
    let states = states.as_deref().and_then(|lines| lines.lines().map(StateTensor::parse).collect::<Option<Vec<_>>>());
    Ok((facts, states.ok_or("its metadata 'states' cannot be read; export it again")?))
}

fn whole(key: &str, text: Option<String>, least: u32) -> Result<u32, String> {
    let value =
        text.as_deref().and_then(|text| text.parse::<u32>().ok()).filter(|value| (least..=MOST_WHOLE).contains(value));
    value.ok_or_else(|| {
        let told =
            text.map_or("missing".to_string(), |text| format!("{:?}", text.chars().take(40).collect::<String>()));
        format!("its metadata {key:?} is {told}; export it with a whole number from {least} to {MOST_WHOLE}")
    })
}

/// Returns the tensors of a frame in and out, after checking that the graph takes and gives what the metadata says.
fn checked_graph(session: &Session, facts: &Facts, states: &[StateTensor]) -> Result<(Tensor, Tensor), String> {
    let inputs = session.inputs().map_err(|error| error.message)?;
    let outputs = session.outputs().map_err(|error| error.message)?;
    let (Some((frame, states_in)), Some((sound, states_out))) = (inputs.split_first(), outputs.split_first()) else {
        return Err("has no inputs or outputs; export it again".to_string());
    };
    let is_as_told = states_in.iter().flatten().eq(states.iter().map(|state| &state.input))
        && states_out.iter().flatten().eq(states.iter().map(|state| &state.output))
        && (states_in.len(), states_out.len()) == (states.len(), states.len());
    if !is_as_told {
        return Err("its metadata 'states' is not of this graph; export it again".to_string());
    }
    match (frame, sound) {
        (Some(frame), Some(sound))
            if is_frame(frame, facts.n_channels, facts.frame_samples)
                && is_frame(sound, facts.n_sources, facts.frame_samples) =>
        {
            Ok((frame.clone(), sound.clone()))
        }
        _ => Err("its frames are not what its metadata says; export it again".to_string()),
    }
}

fn is_frame(tensor: &Tensor, n_channels: usize, n_samples: usize) -> bool {
    tensor.kind == Kind::Float32 && tensor.shape == [1, n_channels as i64, n_samples as i64]
}
