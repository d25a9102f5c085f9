//! Whether anything can be heard on a side.

/// Listens for 100 ms above -50 dBFS (RMS; 0 dBFS is a square wave of full scale). Windows start every 10 ms. What is
/// shorter than 100 ms in all is one window.
#[derive(Clone, Debug)]
pub struct Loudness {
    /// Samples in 10 ms.
    step: u64,
    /// Energies of the last ten steps.
    steps: [u64; 10],
    /// Whole steps so far.
    whole: usize,
    /// Energy and samples of the step that is not whole.
    energy: u64,
    samples: u64,
    loud: bool,
}

impl Loudness {
    /// For so many samples per second.
    pub fn new(rate: u32) -> Self {
        Self {
            step: u64::from(rate / 100).max(1),
            steps: [0; 10],
            whole: 0,
            energy: 0,
            samples: 0,
            loud: false,
        }
    }

    /// Hears the next sample.
    pub fn push(&mut self, sample: i16) {
        self.energy += u64::from(sample.unsigned_abs()).pow(2);
        self.samples += 1;
        if self.samples == self.step {
            self.steps[self.whole % 10] = self.energy;
            self.whole += 1;
            (self.energy, self.samples) = (0, 0);
            self.loud |= self.whole >= 10 && is_loud(self.steps.iter().sum(), 10 * self.step);
        }
    }

    /// Whether anything was heard.
    pub fn audible(&self) -> bool {
        if self.whole >= 10 {
            return self.loud;
        }
        let samples = self.whole as u64 * self.step + self.samples;
        is_loud(self.steps.iter().sum::<u64>() + self.energy, samples)
    }
}

/// Mean square above 2³⁰ (full scale) × 10⁻⁵ (-50 dB).
fn is_loud(energy: u64, samples: u64) -> bool {
    u128::from(energy) * 100_000 > u128::from(samples) << 30
}
