//! onnxruntime, loaded while the program runs and called through its C interface.
//!
//! All that is unsafe lies here.  What the other files see is safe: a [`Session`] is a graph, a [`Turns`] is a stream's
//! memory with the graph bound to it twice, so that a frame reads one set of states and writes the other.
//!
//! The interface is a table of functions, found by their place in it; a place never changes once it was published.
//! Every function but the releasing ones returns null, or a status that says what went wrong and must be released.

use std::alloc::{alloc_zeroed, dealloc, handle_alloc_error, Layout};
use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut, NonNull};
use std::sync::{Arc, Mutex};

use crate::error::{Code, Error};
use crate::state::{Kind, StateTensor, Tensor};

/// The version of the interface that is asked for: onnxruntime 1.17, and every later one has it.
const API_VERSION: u32 = 17;
/// What the library is called where it is installed with a system.
const SYSTEM_NAMES: [&str; 3] = ["libonnxruntime.so.1", "libonnxruntime.so", "libonnxruntime.dylib"];
const VARIABLE: &str = "RESOUND_ONNXRUNTIME";
/// Where vectors of any processor like their memory to begin.
const ALIGNMENT: usize = 64;

const LOG_FATAL: c_int = 4;
const ARENA_ALLOCATOR: c_int = 1;
const DEFAULT_MEMORY: c_int = 0;
const RTLD_NOW: c_int = 2;

/// The places of functions in the table.
mod place {
    pub const GET_ERROR_MESSAGE: usize = 2;
    pub const CREATE_ENV: usize = 3;
    pub const CREATE_SESSION: usize = 7;
    pub const CREATE_SESSION_OPTIONS: usize = 10;
    pub const SET_SESSION_LOG_SEVERITY_LEVEL: usize = 22;
    pub const SET_INTRA_OP_NUM_THREADS: usize = 24;
    pub const SET_INTER_OP_NUM_THREADS: usize = 25;
    pub const SESSION_GET_INPUT_COUNT: usize = 30;
    pub const SESSION_GET_OUTPUT_COUNT: usize = 31;
    pub const SESSION_GET_INPUT_TYPE_INFO: usize = 33;
    pub const SESSION_GET_OUTPUT_TYPE_INFO: usize = 34;
    pub const SESSION_GET_INPUT_NAME: usize = 36;
    pub const SESSION_GET_OUTPUT_NAME: usize = 37;
    pub const CREATE_TENSOR_WITH_DATA: usize = 49;
    pub const CAST_TYPE_INFO_TO_TENSOR_INFO: usize = 55;
    pub const GET_TENSOR_ELEMENT_TYPE: usize = 60;
    pub const GET_DIMENSIONS_COUNT: usize = 61;
    pub const GET_DIMENSIONS: usize = 62;
    pub const CREATE_CPU_MEMORY_INFO: usize = 69;
    pub const ALLOCATOR_FREE: usize = 76;
    pub const GET_ALLOCATOR_WITH_DEFAULT_OPTIONS: usize = 78;
    pub const RELEASE_STATUS: usize = 93;
    pub const RELEASE_SESSION: usize = 95;
    pub const RELEASE_VALUE: usize = 96;
    pub const RELEASE_TYPE_INFO: usize = 98;
    pub const RELEASE_SESSION_OPTIONS: usize = 100;
    pub const SESSION_GET_MODEL_METADATA: usize = 111;
    pub const LOOKUP_CUSTOM_METADATA: usize = 116;
    pub const RELEASE_MODEL_METADATA: usize = 118;
    pub const RUN_WITH_BINDING: usize = 133;
    pub const CREATE_IO_BINDING: usize = 134;
    pub const RELEASE_IO_BINDING: usize = 135;
    pub const BIND_INPUT: usize = 136;
    pub const BIND_OUTPUT: usize = 137;
}

/// Every object of onnxruntime is a pointer to something that is none of our business.
type Pointer = *mut c_void;
type Status = Pointer;

#[repr(C)]
struct ApiBase {
    get_api: unsafe extern "C" fn(u32) -> *const *const c_void,
    get_version: unsafe extern "C" fn() -> *const c_char,
}

#[cfg_attr(target_os = "linux", link(name = "dl"))]
extern "C" {
    fn dlopen(name: *const c_char, flags: c_int) -> Pointer;
    fn dlsym(library: Pointer, name: *const c_char) -> Pointer;
    fn dlerror() -> *const c_char;
}

/// The function at a place of the table, as the type that it has there.
macro_rules! function {
    ($runtime:expr, $place:ident, fn($($argument:ty),*) $(-> $result:ty)?) => {
        std::mem::transmute::<*const c_void, unsafe extern "C" fn($($argument),*) $(-> $result)?>(
            *$runtime.table.add(place::$place),
        )
    };
}

/// A library that was loaded.  It stays for as long as the process: threads of it may run until then.
pub struct Runtime {
    table: *const *const c_void,
    environment: Pointer,
    allocator: Pointer,
    memory_info: Pointer,
}

// SAFETY: the table is constant, and onnxruntime documents its environment, its default allocator and a description of
// memory as usable from all threads; nothing here changes them after `open`.
unsafe impl Send for Runtime {}
unsafe impl Sync for Runtime {}

static LOADED: Mutex<Vec<(PathBuf, &'static Runtime)>> = Mutex::new(Vec::new());

impl Runtime {
    /// Returns the library at `path`, else at `RESOUND_ONNXRUNTIME`, else of the system.
    pub fn open(path: Option<&Path>) -> Result<&'static Runtime, Error> {
        let variable = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()); // else it names this program
        let told = path.map(Path::to_path_buf).or_else(|| variable.map(PathBuf::from));
        let names = told.map_or_else(|| SYSTEM_NAMES.iter().map(PathBuf::from).collect(), |path| vec![path]);
        let mut loaded = LOADED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some((_, runtime)) = loaded.iter().find(|(path, _)| names.contains(path)) {
            return Ok(runtime);
        }
        let mut reasons = Vec::new();
        for name in &names {
            match load(name) {
                Ok(library) => {
                    let runtime = Box::leak(Box::new(Runtime::start(library, name)?));
                    loaded.push((name.clone(), runtime));
                    return Ok(runtime);
                }
                Err(why) => reasons.push(why),
            }
        }
        Err(Error::new(
            Code::Library,
            format!(
                "{}: onnxruntime cannot be loaded ({}); give the path of libonnxruntime.so, or set {VARIABLE}",
                names[0].display(),
                reasons[0]
            ),
        ))
    }

    fn start(library: Pointer, name: &Path) -> Result<Runtime, Error> {
        let wrong = |what: &str| {
            let told = format!("{}: {what}; give the path of libonnxruntime.so 1.17 or newer", name.display());
            Error::new(Code::Library, told)
        };
        // SAFETY: `library` is what dlopen returned and is never closed; the name ends in a zero.
        let entry = unsafe { dlsym(library, c"OrtGetApiBase".as_ptr()) };
        if entry.is_null() {
            return Err(wrong("is a library, but not onnxruntime"));
        }
        // SAFETY: onnxruntime documents OrtGetApiBase as a function without arguments that returns a constant table of
        // two functions, and the version as text that lives as long as the library.
        let (table, version) = unsafe {
            let get_base = std::mem::transmute::<Pointer, unsafe extern "C" fn() -> *const ApiBase>(entry);
            let base = &*get_base();
            ((base.get_api)(API_VERSION), text_of((base.get_version)()))
        };
        if table.is_null() {
            return Err(wrong(&format!("is onnxruntime {version}, which is too old")));
        }
        let mut runtime = Runtime { table, environment: null_mut(), allocator: null_mut(), memory_info: null_mut() };
        // SAFETY: the places and types are those of the published interface; results are written to live pointers.
        unsafe {
            let create_env = function!(runtime, CREATE_ENV, fn(c_int, *const c_char, *mut Pointer) -> Status);
            let get_allocator = function!(runtime, GET_ALLOCATOR_WITH_DEFAULT_OPTIONS, fn(*mut Pointer) -> Status);
            let create_info = function!(runtime, CREATE_CPU_MEMORY_INFO, fn(c_int, c_int, *mut Pointer) -> Status);
            let mut made = [null_mut(); 3];
            runtime.checked(create_env(LOG_FATAL, c"resound".as_ptr(), &mut made[0]), Code::Library)?;
            runtime.checked(get_allocator(&mut made[1]), Code::Library)?;
            runtime.checked(create_info(ARENA_ALLOCATOR, DEFAULT_MEMORY, &mut made[2]), Code::Library)?;
            [runtime.environment, runtime.allocator, runtime.memory_info] = made;
        }
        Ok(runtime)
    }

    /// Turns a status into a result, and releases it.
    ///
    /// # Safety
    /// `status` is what a function of this library has just returned.
    unsafe fn checked(&self, status: Status, code: Code) -> Result<(), Error> {
        if status.is_null() {
            return Ok(());
        }
        // SAFETY: a status that is not null holds a message that lives until the status is released, which is here.
        let message = unsafe {
            let message = text_of(function!(self, GET_ERROR_MESSAGE, fn(Status) -> *const c_char)(status));
            function!(self, RELEASE_STATUS, fn(Status))(status);
            message
        };
        Err(Error::new(code, message))
    }

    /// Returns text that the library's allocator made, which is given back; None for null.
    ///
    /// # Safety
    /// `text` is null, or text that ends in a zero, made by the default allocator, and not used afterwards.
    unsafe fn taken(&self, text: *mut c_char) -> Option<String> {
        if text.is_null() {
            return None;
        }
        // SAFETY: as the caller promises; it is freed once, after it was copied.
        unsafe {
            let copied = text_of(text);
            let free = function!(self, ALLOCATOR_FREE, fn(Pointer, Pointer) -> Status);
            self.checked(free(self.allocator, text.cast()), Code::Internal).ok()?;
            Some(copied)
        }
    }
}

fn load(name: &Path) -> Result<Pointer, String> {
    let name = CString::new(name.as_os_str().as_bytes()).map_err(|_| "the path has a zero in it".to_string())?;
    // SAFETY: the name ends in a zero.  That the library's own beginnings do no harm is what whoever names it trusts.
    // dlerror is null, or text that is copied before another call can change it.
    unsafe {
        let library = dlopen(name.as_ptr(), RTLD_NOW);
        if !library.is_null() {
            return Ok(library);
        }
        let why = dlerror();
        Err(if why.is_null() { "no reason given".to_string() } else { text_of(why) })
    }
}

/// Copies text.
///
/// # Safety
/// `text` points to bytes that end in a zero.
unsafe fn text_of(text: *const c_char) -> String {
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// What is released when it goes out of scope, also where something failed in between.
struct Owned {
    pointer: Pointer,
    release: unsafe extern "C" fn(Pointer),
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the pointer is null, which all of them take, or an object that nothing else owns; `release` is the
        // function of its type, of a library that is never closed.
        unsafe { (self.release)(self.pointer) }
    }
}

/// Calls a function whose last argument receives an object, and owns that; unsafe as the call itself.
macro_rules! owned {
    ($runtime:expr, $code:expr, $release:ident, $function:expr $(, $argument:expr)*) => {{
        let mut made = Owned { pointer: null_mut(), release: function!($runtime, $release, fn(Pointer)) };
        $runtime.checked($function($($argument,)* &mut made.pointer), $code).map(|()| made)
    }};
}

/// A graph, ready to run on one thread.
pub struct Session {
    runtime: &'static Runtime,
    session: Owned,
}

// SAFETY: onnxruntime documents a session as usable from several threads at once, and reading its facts as well.
unsafe impl Send for Session {}
unsafe impl Sync for Session {}

impl Session {
    /// Opens a graph.  The message of an error is onnxruntime's own.
    pub fn open(runtime: &'static Runtime, path: &Path) -> Result<Session, Error> {
        let bytes = path.as_os_str().as_bytes();
        let name = CString::new(bytes).map_err(|_| Error::new(Code::Argument, "the path has a zero in it"))?;
        // SAFETY: the functions are those of the interface; options and environment live until the session is made,
        // and the name ends in a zero.
        let session = unsafe {
            let create_options = function!(runtime, CREATE_SESSION_OPTIONS, fn(*mut Pointer) -> Status);
            let options = owned!(runtime, Code::Internal, RELEASE_SESSION_OPTIONS, create_options)?;
            for set in [
                function!(runtime, SET_INTRA_OP_NUM_THREADS, fn(Pointer, c_int) -> Status),
                function!(runtime, SET_INTER_OP_NUM_THREADS, fn(Pointer, c_int) -> Status),
            ] {
                runtime.checked(set(options.pointer, 1), Code::Internal)?;
            }
            let set_log = function!(runtime, SET_SESSION_LOG_SEVERITY_LEVEL, fn(Pointer, c_int) -> Status);
            runtime.checked(set_log(options.pointer, LOG_FATAL), Code::Internal)?;
            let create =
                function!(runtime, CREATE_SESSION, fn(Pointer, *const c_char, Pointer, *mut Pointer) -> Status);
            let environment = runtime.environment;
            owned!(runtime, Code::Model, RELEASE_SESSION, create, environment, name.as_ptr(), options.pointer)?
        };
        Ok(Session { runtime, session })
    }

    /// Returns the values of keys of the graph's metadata, None for those that it does not have.
    pub fn metadata<const N: usize>(&self, keys: [&CStr; N]) -> Result<[Option<String>; N], Error> {
        let runtime = self.runtime;
        let mut values = std::array::from_fn(|_| None);
        // SAFETY: the session lives; the metadata lives until the end of the block; a value is taken once.
        unsafe {
            let get = function!(runtime, SESSION_GET_MODEL_METADATA, fn(Pointer, *mut Pointer) -> Status);
            let metadata = owned!(runtime, Code::Model, RELEASE_MODEL_METADATA, get, self.session.pointer)?;
            let look_up = function!(
                runtime,
                LOOKUP_CUSTOM_METADATA,
                fn(Pointer, Pointer, *const c_char, *mut *mut c_char) -> Status
            );
            for (value, key) in values.iter_mut().zip(keys) {
                let mut text = null_mut();
                let status = look_up(metadata.pointer, runtime.allocator, key.as_ptr(), &mut text);
                runtime.checked(status, Code::Model)?;
                *value = runtime.taken(text);
            }
        }
        Ok(values)
    }

    /// Returns the graph's inputs, None for one that is of no type that a stream has, or of no fixed shape.
    pub fn inputs(&self) -> Result<Vec<Option<Tensor>>, Error> {
        // SAFETY: the three functions have these types.
        unsafe {
            self.tensors(
                function!(self.runtime, SESSION_GET_INPUT_COUNT, fn(Pointer, *mut usize) -> Status),
                function!(
                    self.runtime,
                    SESSION_GET_INPUT_NAME,
                    fn(Pointer, usize, Pointer, *mut *mut c_char) -> Status
                ),
                function!(self.runtime, SESSION_GET_INPUT_TYPE_INFO, fn(Pointer, usize, *mut Pointer) -> Status),
            )
        }
    }

    /// Returns the graph's outputs, as `inputs` does.
    pub fn outputs(&self) -> Result<Vec<Option<Tensor>>, Error> {
        // SAFETY: the three functions have these types.
        unsafe {
            self.tensors(
                function!(self.runtime, SESSION_GET_OUTPUT_COUNT, fn(Pointer, *mut usize) -> Status),
                function!(
                    self.runtime,
                    SESSION_GET_OUTPUT_NAME,
                    fn(Pointer, usize, Pointer, *mut *mut c_char) -> Status
                ),
                function!(self.runtime, SESSION_GET_OUTPUT_TYPE_INFO, fn(Pointer, usize, *mut Pointer) -> Status),
            )
        }
    }

    /// # Safety
    /// The functions are those of the interface for inputs, or for outputs.
    unsafe fn tensors(
        &self,
        count: unsafe extern "C" fn(Pointer, *mut usize) -> Status,
        name: unsafe extern "C" fn(Pointer, usize, Pointer, *mut *mut c_char) -> Status,
        info: unsafe extern "C" fn(Pointer, usize, *mut Pointer) -> Status,
    ) -> Result<Vec<Option<Tensor>>, Error> {
        let (runtime, session) = (self.runtime, self.session.pointer);
        let mut n_tensors = 0;
        // SAFETY: the session lives, indices are below the count, and a name is taken once.
        unsafe {
            runtime.checked(count(session, &mut n_tensors), Code::Model)?;
            let mut tensors = Vec::with_capacity(n_tensors);
            for index in 0..n_tensors {
                let mut text = null_mut();
                runtime.checked(name(session, index, runtime.allocator, &mut text), Code::Model)?;
                let name = runtime.taken(text).unwrap_or_default();
                let info = owned!(runtime, Code::Model, RELEASE_TYPE_INFO, info, session, index)?;
                let form = self.form_of(&info)?;
                tensors.push(form.map(|(kind, shape)| Tensor { name, kind, shape }));
            }
            Ok(tensors)
        }
    }

    /// Returns type and shape of a tensor, None where they are none of ours.
    ///
    /// # Safety
    /// `info` is a type that onnxruntime described.
    unsafe fn form_of(&self, info: &Owned) -> Result<Option<(Kind, Vec<i64>)>, Error> {
        let runtime = self.runtime;
        let (mut tensor, mut code, mut n_dimensions) = (null_mut(), 0, 0);
        // SAFETY: what the cast gives is part of `info`, and not released; `shape` has room for all dimensions.
        unsafe {
            let cast = function!(runtime, CAST_TYPE_INFO_TO_TENSOR_INFO, fn(Pointer, *mut Pointer) -> Status);
            runtime.checked(cast(info.pointer, &mut tensor), Code::Model)?;
            if tensor.is_null() {
                return Ok(None);
            }
            let get_type = function!(runtime, GET_TENSOR_ELEMENT_TYPE, fn(Pointer, *mut c_int) -> Status);
            runtime.checked(get_type(tensor, &mut code), Code::Model)?;
            let count = function!(runtime, GET_DIMENSIONS_COUNT, fn(Pointer, *mut usize) -> Status);
            runtime.checked(count(tensor, &mut n_dimensions), Code::Model)?;
            let mut shape = vec![0; n_dimensions];
            let get_shape = function!(runtime, GET_DIMENSIONS, fn(Pointer, *mut i64, usize) -> Status);
            runtime.checked(get_shape(tensor, shape.as_mut_ptr(), n_dimensions), Code::Model)?;
            let kind = [Kind::Float32, Kind::Float64, Kind::Int64].into_iter().find(|&kind| code_of(kind) == code);
            Ok(kind.filter(|_| shape.iter().all(|&size| size > 0)).map(|kind| (kind, shape)))
        }
    }
}

/// onnxruntime's number of a type.
fn code_of(kind: Kind) -> c_int {
    match kind {
        Kind::Float32 => 1,
        Kind::Int64 => 7,
        Kind::Float64 => 11,
    }
}

/// Memory of one tensor, at an address that stays, and onnxruntime's view of it.
struct Buffer {
    value: Owned, // before `memory`: released first
    memory: Memory,
    kind: Kind,
}

impl Buffer {
    fn new(runtime: &Runtime, tensor: &Tensor) -> Result<Buffer, Error> {
        let memory = Memory::new(tensor.n_values() * tensor.kind.size());
        let (shape, n_bytes) = (&tensor.shape, memory.layout.size());
        // SAFETY: the memory has the size of the shape and type, and lives longer than the value that refers to it.
        let value = unsafe {
            let create = function!(
                runtime,
                CREATE_TENSOR_WITH_DATA,
                fn(Pointer, Pointer, usize, *const i64, usize, c_int, *mut Pointer) -> Status
            );
            let (info, data, kind) = (runtime.memory_info, memory.pointer.as_ptr().cast(), code_of(tensor.kind));
            owned!(
                runtime,
                Code::Internal,
                RELEASE_VALUE,
                create,
                info,
                data,
                n_bytes,
                shape.as_ptr(),
                shape.len(),
                kind
            )?
        };
        Ok(Buffer { value, memory, kind: tensor.kind })
    }

    fn fill(&mut self, value: f64) {
        match self.kind {
            Kind::Float32 => self.memory.values_mut::<f32>().fill(value as f32),
            Kind::Float64 => self.memory.values_mut::<f64>().fill(value),
            Kind::Int64 => self.memory.values_mut::<i64>().fill(value as i64),
        }
    }
}

/// Zeroed bytes that onnxruntime reads and writes.
struct Memory {
    pointer: NonNull<u8>,
    layout: Layout,
}

/// A number of which every pattern of bits is one.
trait Number: Copy {}
impl Number for f32 {}
impl Number for f64 {}
impl Number for i64 {}

impl Memory {
    fn new(n_bytes: usize) -> Memory {
        let layout = Layout::from_size_align(n_bytes.max(1), ALIGNMENT).expect("sizes were checked");
        // SAFETY: the layout is of at least a byte.
        let pointer = unsafe { alloc_zeroed(layout) };
        Memory { pointer: NonNull::new(pointer).unwrap_or_else(|| handle_alloc_error(layout)), layout }
    }

    fn values<T: Number>(&self) -> &[T] {
        let n_values = self.layout.size() / size_of::<T>();
        // SAFETY: the bytes are all set, aligned for any number, and as many; onnxruntime writes them only in
        // `Turns::run`, which borrows all buffers mutably, so not while this slice lives.
        unsafe { std::slice::from_raw_parts(self.pointer.as_ptr().cast(), n_values) }
    }

    fn values_mut<T: Number>(&mut self) -> &mut [T] {
        let n_values = self.layout.size() / size_of::<T>();
        // SAFETY: as in `values`, and this is the only slice.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.as_ptr().cast(), n_values) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: it was allocated with this layout, and nothing refers to it any more.
        unsafe { dealloc(self.pointer.as_ptr(), self.layout) }
    }
}

/// A stream's memory: a frame in, a frame out, and two sets of states that are read and written in turns.
pub struct Turns {
    bindings: [Owned; 2], // before what they are bound to: released first
    frame: Buffer,
    sound: Buffer,
    states: [Vec<Buffer>; 2],
    fills: Vec<f64>,
    turn: usize,
    session: Arc<Session>,
}

// SAFETY: all pointers are owned by it alone, and onnxruntime ties none of these objects to a thread.
unsafe impl Send for Turns {}

impl Turns {
    /// Makes the memory of a stream before its first frame.
    pub fn new(session: &Arc<Session>, frame: &Tensor, sound: &Tensor, states: &[StateTensor]) -> Result<Self, Error> {
        let runtime = session.runtime;
        let set = || states.iter().map(|state| Buffer::new(runtime, &state.input)).collect::<Result<Vec<_>, _>>();
        let mut turns = Turns {
            bindings: [session.binding()?, session.binding()?],
            frame: Buffer::new(runtime, frame)?,
            sound: Buffer::new(runtime, sound)?,
            states: [set()?, set()?],
            fills: states.iter().map(|state| state.fill).collect(),
            turn: 0,
            session: Arc::clone(session),
        };
        for (turn, binding) in turns.bindings.iter().enumerate() {
            session.bind(binding, false, &frame.name, &turns.frame)?;
            session.bind(binding, true, &sound.name, &turns.sound)?;
            for (index, state) in states.iter().enumerate() {
                session.bind(binding, false, &state.input.name, &turns.states[turn][index])?;
                session.bind(binding, true, &state.output.name, &turns.states[1 - turn][index])?;
            }
        }
        turns.reset();
        Ok(turns)
    }

    /// Sets the state to what it is before the first frame.
    pub fn reset(&mut self) {
        for (state, &fill) in self.states[self.turn].iter_mut().zip(&self.fills) {
            state.fill(fill);
        }
    }

    /// What the graph will be given.
    pub fn frame_mut(&mut self) -> &mut [f32] {
        self.frame.memory.values_mut()
    }

    /// What the graph has made.
    pub fn sound(&self) -> &[f32] {
        self.sound.memory.values()
    }

    /// What the graph has made, to change it.
    pub fn sound_mut(&mut self) -> &mut [f32] {
        self.sound.memory.values_mut()
    }

    /// Runs a frame.  Where that fails, the state is what it was.
    pub fn run(&mut self) -> Result<(), Error> {
        let runtime = self.session.runtime;
        let run_options: *const c_void = null();
        // SAFETY: session and binding live, and so does all that is bound; no slice of it does, since `self` is
        // borrowed mutably.  Null are the default options.
        unsafe {
            let run = function!(runtime, RUN_WITH_BINDING, fn(Pointer, *const c_void, Pointer) -> Status);
            let status = run(self.session.session.pointer, run_options, self.bindings[self.turn].pointer);
            runtime.checked(status, Code::Run)?;
        }
        self.turn = 1 - self.turn;
        Ok(())
    }
}

impl Session {
    fn binding(&self) -> Result<Owned, Error> {
        // SAFETY: the session lives, and is kept by whoever keeps the binding.
        unsafe {
            let create = function!(self.runtime, CREATE_IO_BINDING, fn(Pointer, *mut Pointer) -> Status);
            owned!(self.runtime, Code::Internal, RELEASE_IO_BINDING, create, self.session.pointer)
        }
    }

    fn bind(&self, binding: &Owned, is_output: bool, name: &str, buffer: &Buffer) -> Result<(), Error> {
        let name = CString::new(name).map_err(|_| Error::new(Code::Model, "a tensor's name has a zero in it"))?;
        // SAFETY: binding, name and value live; the binding keeps a reference of its own to the value.
        unsafe {
            let function = if is_output {
                function!(self.runtime, BIND_OUTPUT, fn(Pointer, *const c_char, Pointer) -> Status)
            } else {
                function!(self.runtime, BIND_INPUT, fn(Pointer, *const c_char, Pointer) -> Status)
            };
            self.runtime.checked(function(binding.pointer, name.as_ptr(), buffer.value.pointer), Code::Model)
        }
    }
}
