//! The samples of WAV files, block by block: full scale is 1.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use resound::{Code, Error};

use crate::partial::{write_failure, Partial};
use crate::wav_header::{Header, Sample};

/// A WAV file that is being read.
pub struct Reader {
    pub header: Header,
    path: PathBuf,
    file: BufReader<File>,
    n_left: u64,
    bytes: Vec<u8>,
}

impl Reader {
    /// Opens a file.
    pub fn open(path: &Path) -> Result<Reader, Error> {
        let wrong = |what: String| Error::new(Code::File, format!("{}: {what}", path.display()));
        let file = File::open(path).map_err(|error| wrong(format!("cannot be read ({error}); give a WAV file")))?;
        if !file.metadata().is_ok_and(|about| about.is_file()) {
            return Err(wrong("is no file; give a WAV file".to_string()));
        }
        let mut file = BufReader::new(file);
        let header = Header::read(&mut file).map_err(wrong)?;
        Ok(Reader { n_left: header.n_frames, header, path: path.to_path_buf(), file, bytes: Vec::new() })
    }

    /// Fills `block`, channel after channel, with zeros where the file has ended.
    pub fn read(&mut self, block: &mut [f32]) -> Result<(), Error> {
        let (n_channels, size) = (self.header.n_channels, self.header.sample.size());
        let n_samples = block.len() / n_channels;
        let n_there = self.n_left.min(n_samples as u64) as usize;
        self.bytes.resize(n_there * n_channels * size, 0);
        self.file
            .read_exact(&mut self.bytes)
            .map_err(|error| Error::new(Code::File, format!("{}: cannot be read ({error})", self.path.display())))?;
        self.n_left -= n_there as u64;
        block.fill(0.0);
        for (index, bytes) in self.bytes.chunks_exact(size).enumerate() {
            block[index % n_channels * n_samples + index / n_channels] = decoded(self.header.sample, bytes);
        }
        Ok(())
    }
}

fn decoded(sample: Sample, bytes: &[u8]) -> f32 {
    match sample {
        Sample::Int16 => f32::from(i16::from_le_bytes([bytes[0], bytes[1]])) / 32_768.0,
        // Above the lowest byte, so that the sign is where it belongs.
        Sample::Int24 => (i32::from_le_bytes([0, bytes[0], bytes[1], bytes[2]]) >> 8) as f32 / 8_388_608.0,
        Sample::Float32 => f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
    }
}

/// A WAV file that is being written.
pub struct Writer {
    header: Header,
    target: PathBuf,
    file: BufWriter<File>,
    partial: Partial,
    bytes: Vec<u8>,
    pub n_clipped: u64, // samples above full scale, which PCM cannot hold
}

impl Writer {
    /// Begins a file of as many samples as the header says.
    pub fn create(target: &Path, header: Header, may_overwrite: bool) -> Result<Writer, Error> {
        let start = header.bytes().map_err(|what| Error::new(Code::File, format!("{}: {what}", target.display())))?;
        let (partial, file) = Partial::create(target, may_overwrite)?;
        let mut file = BufWriter::new(file);
        file.write_all(&start).map_err(|error| write_failure(target, &error))?;
        Ok(Writer { header, target: target.to_path_buf(), file, partial, bytes: Vec::new(), n_clipped: 0 })
    }

    /// Writes the samples `from..to` of each channel of a block, channel after channel.
    pub fn write(&mut self, block: &[f32], from: usize, to: usize) -> Result<(), Error> {
        let n_samples = block.len() / self.header.n_channels;
        self.bytes.clear();
        for index in from..to {
            for channel in 0..self.header.n_channels {
                let value = block[channel * n_samples + index];
                self.n_clipped += u64::from(encode(self.header.sample, value, &mut self.bytes));
            }
        }
        self.file.write_all(&self.bytes).map_err(|error| write_failure(&self.target, &error))
    }

    /// Ends the file and gives it its name.
    pub fn finish(mut self) -> Result<(), Error> {
        let n_bytes = self.header.n_frames * (self.header.n_channels * self.header.sample.size()) as u64;
        let padding = [0_u8; 1];
        self.file
            .write_all(&padding[..(n_bytes % 2) as usize])
            .and_then(|()| self.file.flush())
            .and_then(|()| self.file.get_ref().sync_all())
            .map_err(|error| write_failure(&self.target, &error))?;
        self.partial.finish()
    }
}

/// Appends a sample, and returns whether it was clipped.
fn encode(sample: Sample, value: f32, bytes: &mut Vec<u8>) -> bool {
    let full_scale: f64 = match sample {
        Sample::Float32 => {
            bytes.extend(value.to_le_bytes());
            return false;
        }
        Sample::Int16 => 32_768.0,
        Sample::Int24 => 8_388_608.0,
    };
    let wanted = (f64::from(value) * full_scale).round_ties_even();
    let stored = wanted.clamp(-full_scale, full_scale - 1.0);
    bytes.extend(&(stored as i32).to_le_bytes()[..sample.size()]);
    stored != wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(sample: Sample, value: f32) -> (f32, bool) {
        let mut bytes = Vec::new();
        let is_clipped = encode(sample, value, &mut bytes);
        (decoded(sample, &bytes), is_clipped)
    }

    #[test]
    fn every_16_bit_value_comes_back() {
        for value in i16::MIN..=i16::MAX {
            let mut bytes = Vec::new();
            assert!(!encode(Sample::Int16, decoded(Sample::Int16, &value.to_le_bytes()), &mut bytes));
            assert_eq!(bytes, value.to_le_bytes());
        }
    }

    #[test]
    fn samples_of_24_bits_keep_their_sign() {
        for value in [-8_388_608, -8_388_607, -1, 0, 1, 4_000_001, 8_388_607_i32] {
            let mut bytes = Vec::new();
            encode(Sample::Int24, decoded(Sample::Int24, &value.to_le_bytes()[..3]), &mut bytes);
            assert_eq!(bytes, value.to_le_bytes()[..3]);
        }
    }

    #[test]
    fn what_is_above_full_scale_is_clipped_and_told() {
        assert_eq!(there_and_back(Sample::Int16, 1.5), (32_767.0 / 32_768.0, true));
        assert_eq!(there_and_back(Sample::Int24, -2.0), (-1.0, true));
        assert_eq!(there_and_back(Sample::Float32, 1.5), (1.5, false));
        assert_eq!(there_and_back(Sample::Int16, -1.0), (-1.0, false));
    }
}
