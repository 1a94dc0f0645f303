//! Runs the networks that `resound export` writes: a frame of sound in, a frame out, the state kept in between.
//!
//! ```no_run
//! let model = resound::Model::open("voice.onnx".as_ref(), None)?;
//! let mut stream = resound::Stream::new(&model)?;
//! let frame = vec![0.0; model.facts().samples_in()]; // channel after channel
//! let restored: &[f32] = stream.step(&frame)?;       // `latency_samples` late
//! # Ok::<(), resound::Error>(())
//! ```
//!
//! onnxruntime is loaded while the program runs, from a path, from the variable `RESOUND_ONNXRUNTIME`, or by the
//! system's name for it; nothing of it is needed to build.  A [`Model`] is the file, shared by any number of
//! [`Stream`]s; a [`Live`] takes blocks of any length and mixes what was heard with what was restored.
#![deny(unsafe_code)]
#![warn(missing_docs)]

mod error;
mod live;
mod model;
#[allow(unsafe_code)] // the only file with any: what calls onnxruntime
mod onnxruntime;
mod state;
mod stream;

pub use error::{Code, Error};
pub use live::{Live, MOST_REDUCTION_DB};
pub use model::{Facts, Model};
pub use stream::{Counts, Stream};
