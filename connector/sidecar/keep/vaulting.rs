//! From the spool into the vault: the steps for one closed segment.

use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;

use sha2::{Digest as _, Sha256};
use temoin_core::id::SegmentId;
use temoin_core::journal::{Entry, What};
use temoin_core::ports::{Change, SegmentRecord, VaultError};
use temoin_core::segment::{Deadlines, Flag, Kept, Sealed, State};

use super::cut::{Cut, TOLERANCE, cut, frames_in};
use super::spool::{Files, SpoolFile};
use super::{Keeper, Outcome, Step, Trouble, watch};
use crate::audio::{AudioError, Layout, Loudness, Pcm, Stereo, riff};

/// Bytes read back from the vault at a time.
const BITE: u64 = 1 << 20;

/// A segment's samples, found.
#[derive(Clone, Debug, Default)]
struct Audio {
    customer: Option<(SpoolFile, Layout)>,
    agent: Option<(SpoolFile, Layout)>,
}

/// What listening to the joined file gave.
struct Heard {
    sha256: String,
    customer: bool,
    agent: bool,
}

impl Keeper {
    /// As far as it goes now.
    pub(super) async fn keep(&self, row: &SegmentRecord) -> Result<Outcome, Trouble> {
        let id = row.segment.id;
        let Some(closing) = &row.closing else {
            return Ok(Outcome::Waiting);
        };
        let files = self.spool.find(id).await?;
        match (files.is_empty(), self.overdue(row)) {
            (true, true) => return self.lose(row, "its recorder left no file").await,
            (true, false) => return Ok(Outcome::Waiting),
            (false, _) => self.done(id, Step::Locate),
        }

        if !self.settled(row, &files).await? {
            return Ok(Outcome::Waiting);
        }
        self.done(id, Step::Settle);

        let audio = blocking(move || Audio::find(files)).await?;
        self.done(id, Step::Repair);
        let Some(rate) = audio.rate()? else {
            return self.lose(row, "its recorder wrote no audio").await;
        };

        let cut = match cut(&row.segment, closing, audio.frames(), rate) {
            Ok(cut) => cut,
            Err(nothing) => return self.lose(row, &nothing.to_string()).await,
        };
        self.done(id, Step::Measure);

        let heard = {
            let (audio, frames) = (audio.clone(), cut.frames);
            blocking(move || audio.listen(rate, frames)).await?
        };
        self.done(id, Step::Join);

        let sealed = self.seal(id, &audio, rate, cut.frames, &heard).await?;
        self.done(id, Step::Seal);

        let kept = Kept {
            millis: cut.frames * 1000 / u64::from(rate),
            sha256: heard.sha256.clone(),
            sealed,
            flags: flags(&closing.flags, &cut, &audio, &heard),
        };
        // Doomed in the meantime: the next pass erases it, and the journal need not say that it was kept.
        if self.row(id).await?.is_none_or(|row| row.state != State::Closed) {
            return Ok(Outcome::Waiting);
        }
        let entry = self.entry(row, What::Kept((&kept).into()));
        self.store.commit(vec![Change::Keep(id, kept), Change::Journal(entry)]).await?;
        self.done(id, Step::Index);

        self.spool.remove(id).await?;
        self.done(id, Step::Unspool);
        Ok(Outcome::Kept)
    }

    /// Whether a file that is not there does not come any more.
    fn overdue(&self, row: &SegmentRecord) -> bool {
        watch::since_end(row, self.clock.now()).is_some_and(|since| since >= self.settings.missing)
    }

    /// Whether the recorder has let go of the files: it closed them, or it has not written for a while.
    async fn settled(&self, row: &SegmentRecord, files: &Files) -> Result<bool, Trouble> {
        let id = row.segment.id;
        let now = self.steady.now();
        let look = self.watches.look(id, files.lengths(), now);
        if !files.are_both() && !self.overdue(row) {
            return Ok(false);
        }
        if look.unchanged >= self.settings.quiet {
            return Ok(true);
        }
        let closed = {
            let files = files.clone();
            blocking(move || Ok(are_closed(&files))).await?
        };
        let late =
            watch::since_end(row, self.clock.now()).is_some_and(|since| since >= self.settings.growing);
        if !closed && late && look.grew { Err(Trouble::Growing) } else { Ok(closed) }
    }

    /// Seals, and believes the vault only what it gives back with the very row that the index will have.
    async fn seal(
        &self,
        id: SegmentId,
        audio: &Audio,
        rate: u32,
        frames: u64,
        heard: &Heard,
    ) -> Result<Sealed, Trouble> {
        let stereo = {
            let audio = audio.clone();
            blocking(move || audio.stereo(rate, frames)).await?
        };
        let sealed = self.vault.seal(id, Box::new(stereo)).await?;
        let len = Stereo::len(frames);
        let mut hash = Sha256::new();
        for range in bites(len) {
            hash.update(self.vault.read(id, &sealed, range).await?);
        }
        if sealed.plain_len != len || hex(&hash.finalize()) != heard.sha256 {
            let why = "it gives back other bytes than it was given".to_owned();
            return Err(VaultError::Damaged(id, why).into());
        }
        Ok(sealed)
    }

    /// There is nothing to keep: the journal says why, and the row goes the way of all that must not exist.
    async fn lose(&self, row: &SegmentRecord, why: &str) -> Result<Outcome, Trouble> {
        let id = row.segment.id;
        let entry = self.entry(row, What::Lost { why: why.to_owned() });
        self.store
            .commit(vec![Change::Journal(entry), Change::Amend(id, Vec::new(), Deadlines::default())])
            .await?;
        tracing::warn!(segment = %id, why, "of a segment nothing is kept");
        self.done(id, Step::Lose);
        Ok(Outcome::Lost)
    }

    /// A line of the journal about this segment.
    pub(super) fn entry(&self, row: &SegmentRecord, what: What) -> Entry {
        Entry {
            at: self.clock.now(),
            call: Some(row.segment.call.clone()),
            segment: Some(row.segment.id),
            what,
        }
    }
}

impl Audio {
    /// Finds the samples. A file without any counts as none.
    fn find(files: Files) -> Result<Self, Trouble> {
        let find = |file: Option<SpoolFile>| -> Result<_, Trouble> {
            let Some(file) = file.filter(|file| file.len > riff::HEADER as u64) else {
                return Ok(None);
            };
            let layout = riff::scan(&mut File::open(&file.path)?)?;
            Ok((layout.frames > 0).then_some((file, layout)))
        };
        Ok(Self { customer: find(files.customer)?, agent: find(files.agent)? })
    }

    fn sides(&self) -> impl Iterator<Item = &Layout> {
        [&self.customer, &self.agent].into_iter().flatten().map(|(_, layout)| layout)
    }

    /// Samples per second; `None` where there is no audio.
    fn rate(&self) -> Result<Option<u32>, Trouble> {
        let mut rates = self.sides().map(|layout| layout.rate);
        match (rates.next(), rates.next()) {
            (Some(one), Some(other)) if one != other => Err(Trouble::Rates(one, other)),
            (rate, _) => Ok(rate),
        }
    }

    /// Whether one side ends before the other: there was no room for its last words.
    fn broke_off(&self) -> bool {
        let mut frames = self.sides().map(|layout| (layout.frames, layout.rate));
        match (frames.next(), frames.next()) {
            (Some((one, rate)), Some((other, _))) => one.abs_diff(other) > frames_in(TOLERANCE, rate),
            _ => false,
        }
    }

    /// Frames of the longer side.
    fn frames(&self) -> u64 {
        self.sides().map(|layout| layout.frames).max().unwrap_or(0)
    }

    fn stereo(&self, rate: u32, frames: u64) -> Result<Stereo, Trouble> {
        let open = |side: &Option<(SpoolFile, Layout)>| -> Result<Option<Pcm>, AudioError> {
            side.as_ref().map(|(file, layout)| Pcm::open(&file.path, layout)).transpose()
        };
        Ok(Stereo::new(open(&self.customer)?, open(&self.agent)?, rate, frames)?)
    }

    /// Reads the joined file once: its hash, and whether each side can be heard.
    fn listen(&self, rate: u32, frames: u64) -> Result<Heard, Trouble> {
        let mut stereo = self.stereo(rate, frames)?;
        let mut hash = Sha256::new();
        let (mut customer, mut agent) = (Loudness::new(rate), Loudness::new(rate));
        let mut header = [0; riff::HEADER];
        stereo.read_exact(&mut header)?;
        hash.update(header);
        let mut bite = vec![0; 4 * 4096];
        let mut left = frames;
        while left > 0 {
            let now = left.min(4096);
            let bite = &mut bite[..4 * now as usize];
            stereo.read_exact(bite)?;
            hash.update(&*bite);
            for frame in bite.chunks_exact(4) {
                customer.push(i16::from_le_bytes([frame[0], frame[1]]));
                agent.push(i16::from_le_bytes([frame[2], frame[3]]));
            }
            left -= now;
        }
        Ok(Heard { sha256: hex(&hash.finalize()), customer: customer.audible(), agent: agent.audible() })
    }
}

/// What a listener must know, sorted and each once.
fn flags(of_closing: &[Flag], cut: &Cut, audio: &Audio, heard: &Heard) -> Vec<Flag> {
    let mut flags = [of_closing, &cut.flags].concat();
    flags.extend(audio.broke_off().then_some(Flag::Short));
    flags.extend((!heard.customer).then_some(Flag::CustomerSilent));
    flags.extend((!heard.agent).then_some(Flag::AgentSilent));
    flags.extend(audio.sides().any(|layout| layout.repaired).then_some(Flag::Repaired));
    flags.sort();
    flags.dedup();
    flags
}

/// Whether every file that is there was closed by its writer.
fn are_closed(files: &Files) -> bool {
    let closed = |file: &SpoolFile| {
        let layout =
            File::open(&file.path).map_err(AudioError::from).and_then(|mut file| riff::scan(&mut file));
        layout.is_ok_and(|layout| layout.closed)
    };
    [&files.customer, &files.agent].into_iter().flatten().all(closed)
}

/// The ranges that make up the whole.
fn bites(len: u64) -> impl Iterator<Item = Range<u64>> {
    (0..len.div_ceil(BITE)).map(move |n| n * BITE..((n + 1) * BITE).min(len))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
) -> Result<T, Trouble> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
