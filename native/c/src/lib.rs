//! The C interface: `resound.h` says what each function does and promises.
//!
//! The only file of this crate, and all that is unsafe in it is what C hands over: pointers that are null or as the
//! header demands.  Nothing panics into C: each function ends in [`guarded`].

use std::cell::RefCell;
use std::ffi::{c_char, c_float, c_int, c_ulong, CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::Path;
use std::ptr;

use engine::{Code, Counts, Error, Live, Model, Stream};

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

/// What C calls `resound`: a stream, and the texts that its facts point to.
pub struct Handle {
    stream: Stream,
    name: CString,
    licence: CString,
}

impl Handle {
    fn new(model: &Model) -> Result<Handle, Error> {
        let facts = model.facts();
        Ok(Handle { name: c_text(&facts.name), licence: c_text(&facts.licence), stream: Stream::new(model)? })
    }
}

/// What C calls `resound_facts`.
#[repr(C)]
pub struct CFacts {
    name: *const c_char,
    licence: *const c_char,
    sample_rate: c_ulong,
    frame_samples: c_ulong,
    latency_samples: c_ulong,
    channels_in: c_ulong,
    channels_out: c_ulong,
}

/// What C calls `resound_counts`.
#[repr(C)]
pub struct CCounts {
    silenced: c_ulong,
    restarts: c_ulong,
    failures: c_ulong,
}

impl CCounts {
    fn new(counts: Counts, failures: u64) -> CCounts {
        let fitted = |count: u64| c_ulong::try_from(count).unwrap_or(c_ulong::MAX);
        CCounts { silenced: fitted(counts.silenced), restarts: fitted(counts.restarts), failures: fitted(failures) }
    }
}

/// Runs what a function does; a failure, and a panic, becomes a code and the last error's message.
fn guarded(work: impl FnOnce() -> Result<(), Error>) -> c_int {
    let done = catch_unwind(AssertUnwindSafe(work));
    let error = match done {
        Ok(Ok(())) => return 0,
        Ok(Err(error)) => error,
        Err(_) => Error::new(Code::Internal, "a bug in resound; please report what was done"),
    };
    let message = c_text(&error.message);
    // While a thread ends its message is gone, and nobody can ask for it.
    let _ = LAST_ERROR.try_with(|last| *last.borrow_mut() = message);
    error.code as c_int
}

fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', " ")).unwrap_or_default()
}

fn null(what: &str) -> Error {
    Error::new(Code::Argument, format!("{what} is null"))
}

/// Refers to what a pointer points to.
///
/// # Safety
/// It is null, or points to a value that lives and is not changed while the reference is used.
unsafe fn shared<'a, T>(pointer: *const T, what: &str) -> Result<&'a T, Error> {
    // SAFETY: as the caller promises; null is told apart.
    unsafe { pointer.as_ref() }.ok_or_else(|| null(what))
}

/// Refers to what a pointer points to, to change it.
///
/// # Safety
/// It is null, or points to a value that lives and that nothing else uses meanwhile.
unsafe fn exclusive<'a, T>(pointer: *mut T, what: &str) -> Result<&'a mut T, Error> {
    // SAFETY: as the caller promises; null is told apart.
    unsafe { pointer.as_mut() }.ok_or_else(|| null(what))
}

/// Writes a value to where C wants it, which may not have been set before.
///
/// # Safety
/// The pointer is null, or may be written to.
unsafe fn give<T>(pointer: *mut T, value: T, what: &str) -> Result<(), Error> {
    if pointer.is_null() {
        return Err(null(what));
    }
    // SAFETY: as the caller promises, and it is not null.
    unsafe { pointer.write(value) };
    Ok(())
}

/// Moves a value to the heap and hands its address to C.
///
/// # Safety
/// `made` is null, or may be written to.
unsafe fn hand_over<T>(made: *mut *mut T, value: impl FnOnce() -> Result<T, Error>) -> Result<(), Error> {
    // SAFETY: as the caller promises; the pointer is null first, so that C never sees a wrong one.
    unsafe {
        give(made, ptr::null_mut(), "where the handle is to be written")?;
        *made = Box::into_raw(Box::new(value()?));
    }
    Ok(())
}

/// Takes back what `hand_over` gave, and drops it.
///
/// # Safety
/// `handle` is null, or was given by `hand_over` and is used no more.
unsafe fn take_back<T>(handle: *mut T) {
    if !handle.is_null() {
        // SAFETY: as the caller promises.  A panic within ends here.
        let _ = guarded(|| {
            drop(unsafe { Box::from_raw(handle) });
            Ok(())
        });
    }
}

/// # Safety
/// `text` is null, or ends in a zero and lives while the path is used.
unsafe fn path_of<'a>(text: *const c_char) -> Option<&'a Path> {
    // SAFETY: as the caller promises.
    (!text.is_null()).then(|| Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(text) }.to_bytes())))
}

/// # Safety
/// As `resound.h` says of `resound_create`.
#[no_mangle]
pub unsafe extern "C" fn resound_create(
    model_path: *const c_char,
    library_path: *const c_char,
    made: *mut *mut Handle,
) -> c_int {
    // SAFETY: the caller's promise is that of the header, which is what the functions below ask for.
    guarded(|| unsafe {
        hand_over(made, || {
            let path = path_of(model_path).ok_or_else(|| null("the path of the model"))?;
            Handle::new(&Model::open(path, path_of(library_path))?)
        })
    })
}

/// # Safety
/// As `resound.h` says of `resound_create_another`.
#[no_mangle]
pub unsafe extern "C" fn resound_create_another(first: *const Handle, made: *mut *mut Handle) -> c_int {
    // SAFETY: as in `resound_create`.
    guarded(|| unsafe { hand_over(made, || Handle::new(shared(first, "the first handle")?.stream.model())) })
}

/// # Safety
/// As `resound.h` says of `resound_get_facts`.
#[no_mangle]
pub unsafe extern "C" fn resound_get_facts(handle: *const Handle, facts: *mut CFacts) -> c_int {
    // SAFETY: as in `resound_create`; the texts live as long as the handle.
    guarded(|| unsafe {
        let handle = shared(handle, "the handle")?;
        let told = handle.stream.facts();
        let copied = CFacts {
            name: handle.name.as_ptr(),
            licence: handle.licence.as_ptr(),
            sample_rate: c_ulong::from(told.sample_rate),
            frame_samples: told.frame_samples as c_ulong,
            latency_samples: told.latency_samples as c_ulong,
            channels_in: told.n_channels as c_ulong,
            channels_out: told.n_sources as c_ulong,
        };
        give(facts, copied, "where the facts are to be written")
    })
}

/// # Safety
/// As `resound.h` says of `resound_process_frame`.
#[no_mangle]
pub unsafe extern "C" fn resound_process_frame(
    handle: *mut Handle,
    frame: *const c_float,
    frame_values: usize,
    restored: *mut c_float,
    restored_values: usize,
) -> c_int {
    // SAFETY: as in `resound_create`.  The two may be the same memory: `frame` is read before `restored` is written.
    guarded(|| unsafe {
        let stream = &mut exclusive(handle, "the handle")?.stream;
        if frame.is_null() || restored.is_null() {
            return Err(null("the frame, or the room for the restored one,"));
        }
        let (n_in, n_out) = (stream.facts().samples_in(), stream.facts().samples_out());
        if (frame_values, restored_values) != (n_in, n_out) {
            let told = format!("frames of {frame_values} and {restored_values} values; give {n_in} in and {n_out} out");
            return Err(Error::new(Code::Argument, told));
        }
        let made = stream.step(std::slice::from_raw_parts(frame, n_in))?;
        ptr::copy_nonoverlapping(made.as_ptr(), restored, n_out);
        Ok(())
    })
}

/// # Safety
/// As `resound.h` says of `resound_get_counts`.
#[no_mangle]
pub unsafe extern "C" fn resound_get_counts(handle: *const Handle, counts: *mut CCounts) -> c_int {
    // SAFETY: as in `resound_create`.
    guarded(|| unsafe {
        let found = CCounts::new(shared(handle, "the handle")?.stream.counts(), 0);
        give(counts, found, "where the counts are to be written")
    })
}

/// # Safety
/// As `resound.h` says of `resound_reset`.
#[no_mangle]
pub unsafe extern "C" fn resound_reset(handle: *mut Handle) -> c_int {
    // SAFETY: as in `resound_create`.
    guarded(|| unsafe {
        exclusive(handle, "the handle")?.stream.reset();
        Ok(())
    })
}

/// # Safety
/// As `resound.h` says of `resound_destroy`.
#[no_mangle]
pub unsafe extern "C" fn resound_destroy(handle: *mut Handle) {
    // SAFETY: as in `resound_create`.
    unsafe { take_back(handle) }
}

/// The message of this thread's last failure.
#[no_mangle]
pub extern "C" fn resound_last_error() -> *const c_char {
    LAST_ERROR.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

/// # Safety
/// As `resound.h` says of `resound_live_create`.
#[no_mangle]
pub unsafe extern "C" fn resound_live_create(model: *const Handle, made: *mut *mut Live) -> c_int {
    // SAFETY: as in `resound_create`.
    guarded(|| unsafe { hand_over(made, || Live::new(shared(model, "the handle of the model")?.stream.model())) })
}

/// # Safety
/// As `resound.h` says of `resound_live_set`.
#[no_mangle]
pub unsafe extern "C" fn resound_live_set(live: *mut Live, strength: c_float, max_reduction_db: c_float) -> c_int {
    // SAFETY: as in `resound_create`.
    guarded(|| unsafe {
        exclusive(live, "the handle")?.set(strength, (max_reduction_db >= 0.0).then_some(max_reduction_db));
        Ok(())
    })
}

/// # Safety
/// As `resound.h` says of `resound_live_process`.
#[no_mangle]
pub unsafe extern "C" fn resound_live_process(
    live: *mut Live,
    samples: *const c_float,
    restored: *mut c_float,
    n_samples: usize,
) -> c_int {
    // SAFETY: as in `resound_create`.  The samples are copied to where they will be restored, which may be the same
    // memory, before the only slice is made.
    guarded(|| unsafe {
        let live = exclusive(live, "the handle")?;
        if n_samples == 0 {
            return Ok(());
        }
        if samples.is_null() || restored.is_null() {
            return Err(null("the block, or the room for the restored one,"));
        }
        ptr::copy(samples, restored, n_samples);
        live.process(std::slice::from_raw_parts_mut(restored, n_samples));
        Ok(())
    })
}

/// # Safety
/// As `resound.h` says of `resound_live_latency`.
#[no_mangle]
pub unsafe extern "C" fn resound_live_latency(live: *const Live) -> c_ulong {
    // SAFETY: as in `resound_create`.
    unsafe { shared(live, "the handle") }.map_or(0, |live| live.latency_samples() as c_ulong)
}

/// # Safety
/// As `resound.h` says of `resound_live_get_counts`.
#[no_mangle]
pub unsafe extern "C" fn resound_live_get_counts(live: *const Live, counts: *mut CCounts) -> c_int {
    // SAFETY: as in `resound_create`.
    guarded(|| unsafe {
        let live = shared(live, "the handle")?;
        give(counts, CCounts::new(live.counts(), live.failures()), "where the counts are to be written")
    })
}

/// # Safety
/// As `resound.h` says of `resound_live_reset`.
#[no_mangle]
pub unsafe extern "C" fn resound_live_reset(live: *mut Live) -> c_int {
    // SAFETY: as in `resound_create`.
    guarded(|| unsafe {
        exclusive(live, "the handle")?.reset();
        Ok(())
    })
}

/// # Safety
/// As `resound.h` says of `resound_live_destroy`.
#[no_mangle]
pub unsafe extern "C" fn resound_live_destroy(live: *mut Live) {
    // SAFETY: as in `resound_create`.
    unsafe { take_back(live) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_error() -> String {
        // SAFETY: the message ends in a zero and is copied at once.
        unsafe { CStr::from_ptr(resound_last_error()) }.to_string_lossy().into_owned()
    }

    #[test]
    fn a_panic_becomes_a_code() {
        assert_eq!(guarded(|| panic!("on purpose")), Code::Internal as c_int);
        assert!(last_error().contains("a bug in resound"));
    }

    #[test]
    fn null_is_refused_everywhere_and_may_be_destroyed() {
        let (nothing, no_live): (*mut Handle, *mut Live) = (ptr::null_mut(), ptr::null_mut());
        let (mut handle, mut live) = (nothing, no_live);
        let path = c"model.onnx".as_ptr();
        // SAFETY: null is what the header allows.
        let codes = unsafe {
            resound_destroy(nothing);
            resound_live_destroy(no_live);
            assert_eq!(resound_live_latency(no_live), 0);
            [
                resound_create(ptr::null(), ptr::null(), &mut handle),
                resound_create(path, ptr::null(), ptr::null_mut()),
                resound_create_another(nothing, &mut handle),
                resound_get_facts(nothing, ptr::null_mut()),
                resound_process_frame(nothing, ptr::null(), 0, ptr::null_mut(), 0),
                resound_get_counts(nothing, ptr::null_mut()),
                resound_reset(nothing),
                resound_live_create(nothing, &mut live),
                resound_live_set(no_live, 1.0, -1.0),
                resound_live_process(no_live, ptr::null(), ptr::null_mut(), 3),
                resound_live_get_counts(no_live, ptr::null_mut()),
                resound_live_reset(no_live),
            ]
        };
        assert_eq!(codes, [Code::Argument as c_int; 12]);
        assert!(handle.is_null() && live.is_null());
        assert_eq!(last_error(), "the handle is null");
    }

    #[test]
    fn a_file_that_is_not_there_is_told() {
        let mut handle = ptr::null_mut();
        // SAFETY: the path ends in a zero.
        let code = unsafe { resound_create(c"/nowhere/a.onnx".as_ptr(), ptr::null(), &mut handle) };
        assert_eq!(code, Code::File as c_int);
        assert!(last_error().starts_with("/nowhere/a.onnx: no such model file"), "{}", last_error());
    }
}
