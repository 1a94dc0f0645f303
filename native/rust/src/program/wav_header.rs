//! The chunks of a WAV file before its samples: read with every size distrusted, and written.

use std::io::{self, Read, Seek, SeekFrom};

const PCM: u16 = 1;
const IEEE_FLOAT: u16 = 3;
const EXTENSIBLE: u16 = 0xFFFE;
/// Most channels of a file; more is damage.
const MOST_CHANNELS: u16 = 1024;
/// Most bytes of a format chunk; the longest in use has 40.
const MOST_FORMAT_BYTES: u32 = 1024;
/// What programs write that do not know the length yet.
const UNKNOWN_SIZE: u32 = u32::MAX;

/// How a sample is stored, little end first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    Int16,
    Int24,
    Float32,
}

impl Sample {
    /// Bytes of a sample.
    pub fn size(self) -> usize {
        match self {
            Sample::Int16 => 2,
            Sample::Int24 => 3,
            Sample::Float32 => 4,
        }
    }
}

/// What a file says of its sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub sample: Sample,
    pub n_channels: usize,
    pub sample_rate: u32,
    pub n_frames: u64, // samples of each channel
    pub is_cut_off: bool,
    format: Vec<u8>, // the chunk as it was read, with a mask of loudspeakers where it has one
}

impl Header {
    /// Reads up to the first sample.  An error is what is wrong with the file.
    pub fn read(file: &mut (impl Read + Seek)) -> Result<Header, String> {
        let n_bytes = file.seek(SeekFrom::End(0)).and_then(|end| file.rewind().map(|()| end)).map_err(unreadable)?;
        let mut start = [0; 12];
        let is_wav = file.read_exact(&mut start).is_ok() && &start[..4] == b"RIFF" && &start[8..] == b"WAVE";
        if !is_wav {
            return Err("is no WAV file; convert it to one".to_string());
        }
        let mut format = None;
        loop {
            let mut chunk = [0; 8];
            if file.read_exact(&mut chunk).is_err() {
                return Err("has no samples in it (no 'data'); make it again".to_string());
            }
            let size = u32_at(&chunk, 4);
            match &chunk[..4] {
                b"fmt " => format = Some(read_format(file, size)?),
                b"data" => {
                    let format = format.ok_or("says nothing of its format before its samples; make it again")?;
                    let there = n_bytes.saturating_sub(file.stream_position().map_err(unreadable)?);
                    return Header::new(format, size, there);
                }
                _ => skip(file, u64::from(size) + u64::from(size % 2))?,
            }
        }
    }

    fn new(format: Vec<u8>, told: u32, there: u64) -> Result<Header, String> {
        let (n_channels, sample_rate, block) = (u16_at(&format, 2), u32_at(&format, 4), u16_at(&format, 12));
        let sample = sample_of(&format)?;
        if n_channels == 0 || n_channels > MOST_CHANNELS || sample_rate == 0 {
            return Err(format!("says that it has {n_channels} channels at {sample_rate} Hz; make it again"));
        }
        let n_channels = usize::from(n_channels);
        if usize::from(block) != n_channels * sample.size() {
            return Err(format!("says that {n_channels} samples take {block} bytes; make it again"));
        }
        let is_known = told != UNKNOWN_SIZE && !(told == 0 && there > 0);
        let n_bytes = if is_known { there.min(u64::from(told)) } else { there };
        let is_cut_off = is_known && there < u64::from(told);
        Ok(Header { sample, n_channels, sample_rate, n_frames: n_bytes / u64::from(block), is_cut_off, format })
    }

    /// Returns what a file with another number of channels and the same sound otherwise says.
    pub fn with_channels(&self, n_channels: usize) -> Header {
        let mut changed = self.clone();
        if n_channels != self.n_channels {
            let (tag, bits) =
                if self.sample == Sample::Float32 { (IEEE_FLOAT, 32) } else { (PCM, 8 * self.sample.size()) };
            changed.format = plain_format(tag, n_channels as u16, self.sample_rate, bits as u16);
            changed.n_channels = n_channels;
        }
        changed
    }

    /// Returns the bytes before the samples.  An error says that there are too many for a WAV file.
    pub fn bytes(&self) -> Result<Vec<u8>, String> {
        let n_samples = self.n_frames * self.n_channels as u64;
        let data = u32::try_from(n_samples * self.sample.size() as u64).ok().filter(|&size| size < UNKNOWN_SIZE - 2048);
        let data = data.ok_or("would have more than 4 GB, which WAV cannot hold; restore it in parts")?;
        let mut chunks = chunk(b"fmt ", &self.format);
        if self.sample == Sample::Float32 {
            chunks.extend(chunk(b"fact", &(self.n_frames as u32).to_le_bytes()));
        }
        chunks.extend(b"data".iter().chain(&data.to_le_bytes()));
        let size = 4 + chunks.len() as u32 + data + data % 2;
        Ok([b"RIFF".as_slice(), &size.to_le_bytes(), b"WAVE", &chunks].concat())
    }
}

fn read_format(file: &mut impl Read, size: u32) -> Result<Vec<u8>, String> {
    if !(16..=MOST_FORMAT_BYTES).contains(&size) {
        return Err(format!("has a format of {size} bytes; make it again"));
    }
    let mut format = vec![0; (size + size % 2) as usize];
    file.read_exact(&mut format).map_err(|_| "ends within its format; make it again".to_string())?;
    format.truncate(size as usize);
    Ok(format)
}

fn skip(file: &mut impl Seek, n_bytes: u64) -> Result<(), String> {
    file.seek(SeekFrom::Current(n_bytes as i64)).map(drop).map_err(unreadable)
}

fn sample_of(format: &[u8]) -> Result<Sample, String> {
    let (mut tag, bits) = (u16_at(format, 0), u16_at(format, 14));
    if tag == EXTENSIBLE && format.len() >= 26 {
        tag = u16_at(format, 24); // the first bytes of the subformat are the tag of old
    }
    match (tag, bits) {
        (PCM, 16) => Ok(Sample::Int16),
        (PCM, 24) => Ok(Sample::Int24),
        (IEEE_FLOAT, 32) => Ok(Sample::Float32),
        _ => {
            let what = match tag {
                PCM => format!("{bits}-bit PCM"),
                IEEE_FLOAT => format!("{bits}-bit float"),
                _ => format!("WAV of kind {tag}"),
            };
            Err(format!("is {what}; convert it to 16-bit or 24-bit PCM or 32-bit float"))
        }
    }
}

fn plain_format(tag: u16, n_channels: u16, sample_rate: u32, bits: u16) -> Vec<u8> {
    let block = n_channels * (bits / 8);
    let mut format = [tag.to_le_bytes(), n_channels.to_le_bytes()].concat();
    format.extend(sample_rate.to_le_bytes());
    format.extend(sample_rate.wrapping_mul(u32::from(block)).to_le_bytes());
    format.extend([block.to_le_bytes(), bits.to_le_bytes()].concat());
    format
}

fn chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut bytes = [name.as_slice(), &(content.len() as u32).to_le_bytes(), content].concat();
    bytes.resize(bytes.len() + content.len() % 2, 0);
    bytes
}

fn u16_at(bytes: &[u8], index: usize) -> u16 {
    u16::from_le_bytes([bytes[index], bytes[index + 1]])
}

fn u32_at(bytes: &[u8], index: usize) -> u32 {
    u32::from_le_bytes([bytes[index], bytes[index + 1], bytes[index + 2], bytes[index + 3]])
}

fn unreadable(error: io::Error) -> String {
    format!("cannot be read ({error})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn header(sample: Sample, n_channels: usize, n_frames: u64) -> Header {
        let (tag, bits) = if sample == Sample::Float32 { (IEEE_FLOAT, 32) } else { (PCM, 8 * sample.size() as u16) };
        let format = plain_format(tag, n_channels as u16, 48000, bits);
        Header { sample, n_channels, sample_rate: 48000, n_frames, is_cut_off: false, format }
    }

    fn file(header: &Header) -> Vec<u8> {
        let mut bytes = header.bytes().unwrap();
        bytes.resize(bytes.len() + header.n_frames as usize * header.n_channels * header.sample.size(), 0);
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Header, String> {
        Header::read(&mut Cursor::new(bytes))
    }

    #[test]
    fn what_was_written_is_read() {
        for sample in [Sample::Int16, Sample::Int24, Sample::Float32] {
            for n_channels in [1, 2, 5] {
                let written = header(sample, n_channels, 7);
                assert_eq!(read(&file(&written)), Ok(written));
            }
        }
    }

    #[test]
    fn chunks_before_and_a_mask_of_loudspeakers_are_understood() {
        let mut extensible = header(Sample::Int24, 2, 3);
        extensible.format[..2].copy_from_slice(&EXTENSIBLE.to_le_bytes());
        extensible.format.extend([22, 0, 24, 0, 3, 0, 0, 0, 1, 0]);
        extensible.format.extend([0; 14]);
        let bytes = file(&extensible);
        let with_list = [&bytes[..12], &chunk(b"LIST", b"odd"), &bytes[12..]].concat();
        assert_eq!(read(&with_list), Ok(extensible.clone()));
        assert_eq!(extensible.with_channels(2), extensible);
        assert_eq!(extensible.with_channels(1), header(Sample::Int24, 1, 3));
    }

    #[test]
    fn a_file_that_is_cut_off_has_what_is_there() {
        let bytes = file(&header(Sample::Int16, 2, 100));
        let found = read(&bytes[..bytes.len() - 42]).unwrap();
        assert_eq!((found.n_frames, found.is_cut_off), (89, true));
    }

    #[test]
    fn a_length_that_was_not_known_is_that_of_the_file() {
        for told in [0, UNKNOWN_SIZE] {
            let mut bytes = file(&header(Sample::Int16, 1, 10));
            bytes[40..44].copy_from_slice(&u32::to_le_bytes(told));
            let found = read(&bytes).unwrap();
            assert_eq!((found.n_frames, found.is_cut_off), (10, false));
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let good = file(&header(Sample::Int16, 1, 10));
        let changed = |index: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[index] = value;
            read(&bytes).unwrap_err()
        };
        for length in 0..44 {
            assert!(read(&good[..length]).is_err(), "{length} bytes");
        }
        assert!(changed(0, b'X').contains("no WAV file"));
        assert!(changed(16, 4).contains("format of 4 bytes"));
        assert!(changed(20, 7).contains("kind 7"));
        assert!(changed(22, 0).contains("0 channels"));
        assert!(changed(32, 9).contains("take 9 bytes"));
        assert!(changed(34, 8).contains("8-bit PCM; convert it"));
    }

    #[test]
    fn more_than_wav_can_hold_is_refused() {
        assert!(header(Sample::Float32, 2, 1 << 30).bytes().unwrap_err().contains("4 GB"));
    }
}
