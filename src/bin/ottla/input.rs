//! The inputs of `ottla produce`, read on threads of their own, because reading a terminal or a pipe blocks.

use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::Failure;
use crate::split::Chunk;
use crate::split::Splitter;
use crate::split::Splitting;

/// Bytes of one read.
const BLOCK: usize = 1 << 16;

pub(crate) struct Input {
    pub(crate) name: Arc<str>,
    reader: Box<dyn Read + Send>,
    /// The number of bytes, of a regular file.
    pub(crate) length: Option<u64>,
}

/// Opens every file before the first record is sent; standard input if none is named.
pub(crate) fn open(files: &[impl AsRef<Path>]) -> Result<Vec<Input>, Failure> {
    if files.is_empty() {
        return Ok(vec![Input { name: "standard input".into(), reader: Box::new(io::stdin()), length: None }]);
    }
    let open = |path: &Path| -> Result<Input, Failure> {
        let name = path.display().to_string();
        let failed = |why: String| Failure::Failed(format!("could not open {name}: {why}"));
        let file = File::open(path).map_err(|error| failed(error.to_string()))?;
        let about = file.metadata().map_err(|error| failed(error.to_string()))?;
        if about.is_dir() {
            return Err(failed("it is a directory; name files".to_owned()));
        }
        let length = about.is_file().then_some(about.len());
        Ok(Input { name: name.as_str().into(), reader: Box::new(file), length })
    };
    files.iter().map(|path| open(path.as_ref())).collect()
}

impl Input {
    /// Starts reading. Each chunk has the records that ended in one read. A record that a read error cuts is not among them.
    pub(crate) fn chunks(self, splitting: Splitting) -> mpsc::Receiver<io::Result<Chunk>> {
        let (sender, receiver) = mpsc::channel(2);
        let mut reader = self.reader;
        std::thread::spawn(move || {
            let mut splitter = Splitter::new(splitting);
            let mut block = vec![0; BLOCK];
            loop {
                let chunk = match reader.read(&mut block) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                    Ok(0) => Ok(splitter.end()),
                    Ok(read) => {
                        // The receiver is gone if the user has interrupted.
                        if sender.blocking_send(Ok(splitter.push(&block[..read]))).is_err() {
                            return;
                        }
                        continue;
                    }
                };
                let _ = sender.blocking_send(chunk);
                return;
            }
        });
        receiver
    }
}
