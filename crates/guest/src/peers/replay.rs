//! Which numbers of a sender were seen: the newest, and a window below it, so that messages may overtake each other.
//!
//! Invariant: no number is admitted twice. What lies below the window counts as seen. Instances and their keys live one boot on both
//! sides, so that nothing of this has to outlive one.

/// Numbers below the newest that are told apart.
pub(super) const WINDOW: u64 = 1_024;
const WORDS: usize = (WINDOW / 64) as usize;

/// What was seen of one sender.
#[derive(Clone)]
pub(super) struct SeenNumbers {
    /// One above the newest; 0 where nothing was seen.
    next: u64,
    /// A bit for each number of the window, at the number modulo its size.
    bits: [u64; WORDS],
}

impl Default for SeenNumbers {
    fn default() -> Self {
        Self { next: 0, bits: [0; WORDS] }
    }
}

const fn place(number: u64) -> (usize, u64) {
    let at = number % WINDOW;
    ((at / 64) as usize, 1 << (at % 64))
}

impl SeenNumbers {
    /// Takes a number in; whether it is new.
    pub(super) fn admit(&mut self, number: u64) -> bool {
        let Some(after) = number.checked_add(1) else { return false };
        if after > self.next {
            // Places of numbers in between stood for numbers a window below.
            let skipped = after - self.next;
            if skipped >= WINDOW {
                self.bits = [0; WORDS];
            } else {
                for number in self.next..after {
                    let (word, bit) = place(number);
                    self.bits[word] &= !bit;
                }
            }
            self.next = after;
        } else if self.next - number > WINDOW {
            return false;
        }
        let (word, bit) = place(number);
        let is_new = self.bits[word] & bit == 0;
        self.bits[word] |= bit;
        is_new
    }
}
