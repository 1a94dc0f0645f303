//! A model through the public interface.  `RESOUND_MODEL` names one of one channel, `RESOUND_ONNXRUNTIME` the library;
//! without them there is nothing to run, and the tests say so and pass.  tests/native gives both.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;

use resound::{Code, Live, Model, Stream};

/// Counts what this thread allocates.
struct Counting;

thread_local! {
    static N_ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: all is left to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        N_ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: what the caller promises is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations_of(work: impl FnOnce()) -> usize {
    let before = N_ALLOCATIONS.with(Cell::get);
    work();
    N_ALLOCATIONS.with(Cell::get) - before
}

fn model() -> Option<Model> {
    let Some(path) = std::env::var_os("RESOUND_MODEL") else {
        eprintln!("skipped: set RESOUND_MODEL and RESOUND_ONNXRUNTIME");
        return None;
    };
    Some(Model::open(path.as_ref(), None).expect("RESOUND_MODEL is a model"))
}

/// Noise that is the same at every call.
fn noise(n_samples: usize) -> Vec<f32> {
    let mut seed = 1_u32;
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..n_samples).map(|_| 0.1 * next()).collect()
}

fn restored(stream: &mut Stream, sound: &[f32]) -> Vec<f32> {
    let size = stream.facts().samples_in();
    sound.chunks_exact(size).flat_map(|frame| stream.step(frame).unwrap().to_vec()).collect()
}

#[test]
fn the_counting_allocator_counts() {
    assert_eq!(allocations_of(|| drop(std::hint::black_box(vec![1_u8; 100]))), 1);
}

#[test]
fn a_frame_allocates_nothing() {
    let Some(model) = model() else { return };
    let mut stream = Stream::new(&model).unwrap();
    let frame = noise(model.facts().samples_in());
    let mut out = vec![0.0; model.facts().samples_out()];
    let mut spoilt = frame.clone();
    spoilt[0] = f32::NAN;
    let n_allocations = allocations_of(|| {
        for _ in 0..20 {
            stream.process_frame(&frame, &mut out).unwrap();
            stream.process_frame(&spoilt, &mut out).unwrap();
            stream.reset();
        }
    });
    assert_eq!((n_allocations, stream.counts().silenced), (0, 20));
}

#[test]
fn a_block_allocates_nothing() {
    let Some(model) = model() else { return };
    let mut live = Live::new(&model).unwrap();
    let mut block = noise(3 * model.facts().frame_samples + 7);
    let n_allocations = allocations_of(|| {
        for n_samples in [1, 7, block.len(), 0, 64] {
            live.set(0.5, Some(12.0));
            live.process(&mut block[..n_samples]);
        }
        live.reset();
    });
    assert_eq!(n_allocations, 0);
}

#[test]
fn streams_do_not_disturb_each_other_and_begin_anew() {
    let Some(model) = model() else { return };
    let sound = noise(40 * model.facts().samples_in());
    let mut first = Stream::new(&model).unwrap();
    let alone = restored(&mut first, &sound);
    let mut second = Stream::new(&model).unwrap();
    let size = model.facts().samples_in();
    for (index, frame) in sound.chunks_exact(size).enumerate() {
        first.step(&vec![0.3; size]).unwrap();
        assert_eq!(second.step(frame).unwrap(), &alone[index * size..(index + 1) * size]);
    }
    first.reset();
    assert_eq!(restored(&mut first, &sound), alone);
    assert!(alone.iter().any(|&value| value != 0.0));
}

#[test]
fn what_is_no_sound_goes_in_as_silence() {
    let Some(model) = model() else { return };
    let size = model.facts().samples_in();
    let sound = noise(30 * size);
    for bad in [f32::NAN, f32::INFINITY, -1e30] {
        let (mut spoilt, mut silent) = (sound.clone(), sound.clone());
        spoilt[10 * size + 3] = bad;
        silent[10 * size..11 * size].fill(0.0);
        let mut stream = Stream::new(&model).unwrap();
        let out = restored(&mut stream, &spoilt);
        assert_eq!((stream.counts().silenced, stream.counts().restarts), (1, 0));
        assert_eq!(out, restored(&mut Stream::new(&model).unwrap(), &silent));
    }
}

#[test]
fn frames_of_another_size_are_refused_and_change_nothing() {
    let Some(model) = model() else { return };
    let size = model.facts().samples_in();
    let (sound, mut out) = (noise(20 * size), vec![0.0; model.facts().samples_out()]);
    let mut stream = Stream::new(&model).unwrap();
    let before = restored(&mut stream, &sound);
    stream.reset();
    for wrong in [0, 1, size - 1, size + 1] {
        assert_eq!(stream.step(&vec![0.0; wrong]).unwrap_err().code, Code::Argument);
    }
    assert_eq!(stream.process_frame(&sound[..size], &mut out[1..]).unwrap_err().code, Code::Argument);
    assert_eq!(restored(&mut stream, &sound), before);
}

#[test]
fn blocks_of_any_length_are_the_frames_in_time_with_them() {
    let Some(model) = model() else { return };
    let (size, late) = (model.facts().frame_samples, model.facts().latency_samples);
    let sound = noise(60 * size);
    let frames = restored(&mut Stream::new(&model).unwrap(), &sound);
    for steps in [vec![1], vec![size], vec![3, 1, 0, 2 * size + 5, 17], vec![size - 1, size + 1]] {
        let mut live = Live::new(&model).unwrap();
        let mut out = sound.clone();
        let (mut start, mut lengths) = (0, steps.iter().cycle());
        while start < out.len() {
            let end = (start + lengths.next().unwrap()).min(sound.len());
            live.process(&mut out[start..end]);
            start = end;
        }
        assert_eq!(live.latency_samples(), late + size - 1);
        assert!(out[..size - 1].iter().all(|&value| value == 0.0));
        for (value, wanted) in out[size - 1..].iter().zip(&frames) {
            assert!((value - wanted).abs() < 1e-6, "{value} {wanted}");
        }
    }
}

#[test]
fn at_no_strength_what_was_heard_comes_out_late() {
    let Some(model) = model() else { return };
    let sound = noise(20 * model.facts().frame_samples);
    for (strength, limit) in [(0.0, None), (1.0, Some(0.0)), (-3.0, None)] {
        let mut live = Live::new(&model).unwrap();
        live.set(strength, limit);
        live.reset();
        let mut out = sound.clone();
        live.process(&mut out);
        let late = live.latency_samples();
        assert_eq!(out[late..], sound[..sound.len() - late]);
    }
}

#[test]
fn a_limit_lets_through_what_it_says() {
    let Some(model) = model() else { return };
    let sound = noise(20 * model.facts().frame_samples);
    let played = |strength: f32, limit: Option<f32>| {
        let mut live = Live::new(&model).unwrap();
        live.set(strength, limit);
        live.reset();
        let mut out = sound.clone();
        live.process(&mut out);
        out
    };
    let (heard, whole, limited) = (played(0.0, None), played(1.0, None), played(1.0, Some(20.0)));
    for ((heard, whole), limited) in heard.iter().zip(whole).zip(limited) {
        assert!((limited - (heard - 0.9 * (heard - whole))).abs() < 1e-6);
    }
}

#[test]
fn a_block_that_is_no_sound_is_counted_by_sample() {
    let Some(model) = model() else { return };
    let mut live = Live::new(&model).unwrap();
    let mut out = noise(30 * model.facts().frame_samples);
    out[100..105].fill(f32::NAN);
    live.process(&mut out);
    assert_eq!(live.counts().silenced, 5);
    assert!(out.iter().all(|value| value.is_finite()));
}

#[test]
fn a_stream_may_move_to_another_thread() {
    let Some(model) = model() else { return };
    let sound = noise(10 * model.facts().samples_in());
    let here = restored(&mut Stream::new(&model).unwrap(), &sound);
    let mut stream = Stream::new(&model).unwrap();
    let there = std::thread::spawn(move || restored(&mut stream, &sound)).join().unwrap();
    assert_eq!(here, there);
}

#[test]
fn what_cannot_be_opened_is_told_in_a_line() {
    let failure = |path: &str, library: Option<&str>| {
        let Err(error) = Model::open(Path::new(path), library.map(Path::new)) else { panic!("{path} was opened") };
        assert!(!error.message.contains('\n'));
        error
    };
    assert_eq!(failure("/nowhere/a.onnx", None).code, Code::File);
    assert_eq!(failure("/", None).code, Code::File);
    let missing = failure(file!().rsplit_once("rust/").unwrap().1, Some("/nowhere/libonnxruntime.so"));
    assert_eq!(missing.code, Code::Library);
    assert!(missing.message.contains("RESOUND_ONNXRUNTIME"), "{missing}");
}
