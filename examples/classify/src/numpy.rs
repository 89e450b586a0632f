//! The split of scikit-learn's `train_test_split(test_size=0.2, random_state=seed)`, which shuffles with NumPy's legacy
//! generator.

/// The Mersenne Twister MT19937 (M. Matsumoto, T. Nishimura, ACM TOMACS 8, 1998), seeded as `numpy.random.RandomState` is.
struct Twister {
    state: [u32; Self::LEN],
    at: usize,
}

impl Twister {
    const LEN: usize = 624;
    const SHIFT: usize = 397;

    fn new(seed: u32) -> Self {
        let mut state = [seed; Self::LEN];
        for i in 1..Self::LEN {
            let before = state[i - 1];
            state[i] = 1_812_433_253u32.wrapping_mul(before ^ before >> 30).wrapping_add(i as u32);
        }
        Self { state, at: Self::LEN }
    }

    fn bits(&mut self) -> u32 {
        if self.at == Self::LEN {
            for i in 0..Self::LEN {
                let joined = self.state[i] & 0x8000_0000 | self.state[(i + 1) % Self::LEN] & 0x7fff_ffff;
                let twist = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
                self.state[i] = self.state[(i + Self::SHIFT) % Self::LEN] ^ joined >> 1 ^ twist;
            }
            self.at = 0;
        }
        let mut bits = self.state[self.at];
        self.at += 1;
        bits ^= bits >> 11;
        bits ^= bits << 7 & 0x9d2c_5680;
        bits ^= bits << 15 & 0xefc6_0000;
        bits ^ bits >> 18
    }

    /// A number from 0 to `max`: the first of the drawn numbers, cut to the bits of `max`, that is not larger.
    fn up_to(&mut self, max: u32) -> u32 {
        let mask = u32::MAX.checked_shr(max.leading_zeros()).unwrap_or(0);
        loop {
            let value = self.bits() & mask;
            if value <= max {
                return value;
            }
        }
    }
}

/// `numpy.random.RandomState(seed).permutation(len)`.
fn permutation(seed: u32, len: usize) -> Vec<usize> {
    let mut twister = Twister::new(seed);
    let mut order: Vec<usize> = (0..len).collect();
    for i in (1..len).rev() {
        order.swap(i, twister.up_to(i as u32) as usize);
    }
    order
}

/// The rows to train on and those to test on, which are a fifth, rounded up: the first of the permutation.
pub fn split(seed: u32, len: usize) -> (Vec<usize>, Vec<usize>) {
    let mut order = permutation(seed, len);
    let train = order.split_off(len.div_ceil(5));
    (train, order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permutations_are_those_of_numpy() {
        // numpy 2.4.6: np.random.RandomState(seed).permutation(n)
        assert_eq!(permutation(0, 10), [2, 8, 4, 9, 1, 6, 7, 3, 0, 5]);
        assert_eq!(permutation(42, 12), [10, 9, 0, 8, 5, 2, 1, 11, 4, 7, 3, 6]);
        assert_eq!(permutation(1, 10_000)[..5], [9953, 3850, 4962, 3886, 5437]);
    }

    #[test]
    fn splits_are_those_of_scikit_learn() {
        // scikit-learn 1.9.1: train_test_split(np.arange(11), test_size=0.2, random_state=42)
        let (train, test) = split(42, 11);
        assert_eq!((train, test), (vec![10, 2, 1, 8, 4, 7, 3, 6], vec![5, 0, 9]));
    }
}
