//! The Merkle tree of RFC 6962 over kept lines: roots that go on from a stored state, and proofs.

use sha2::{Digest, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// The hash of a leaf: of a kept line without its line feed.
pub fn leaf_hash(line: &[u8]) -> Hash {
    Sha256::new()
        .chain_update([0])
        .chain_update(line)
        .finalize()
        .into()
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new()
        .chain_update([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// What must be remembered of a tree to go on building it: the roots of its perfect subtrees, the
/// largest first, one for each bit of the size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// Adds a leaf.
    ///
    /// # Panics
    /// Never: there are as many peaks as bits in the size.
    pub fn push(&mut self, leaf: Hash) {
        let mut peak = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.peaks.pop().expect("one peak per bit of the size");
            peak = node_hash(&left, &peak);
        }
        self.peaks.push(peak);
        self.size += 1;
    }

    /// How many leaves it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The tree hash.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(&last) = peaks.next() else {
            return Sha256::digest([]).into();
        };
        peaks.fold(last, |root, peak| node_hash(peak, &root))
    }

    /// The state as bytes; the size is not among them.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.peaks.concat()
    }

    /// The state of a tree of this size; `None` if the bytes are not one.
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Option<Self> {
        let (peaks, rest) = bytes.as_chunks::<32>();
        let fits = rest.is_empty() && u32::try_from(peaks.len()) == Ok(size.count_ones());
        fits.then(|| Self {
            size,
            peaks: peaks.to_vec(),
        })
    }
}

/// The tree hash over these leaf hashes.
pub fn root_of(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(&root_of(left), &root_of(right))
        }
    }
}

/// The proof that the leaf at `index` (from 0) is among these leaves; `None` if there is none.
pub fn inclusion_proof(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    if index >= leaves.len() {
        return None;
    }
    if leaves.len() == 1 {
        return Some(Vec::new());
    }
    let middle = split(leaves.len());
    let (left, right) = leaves.split_at(middle);
    let (mut proof, sibling) = if index < middle {
        (inclusion_proof(left, index)?, root_of(right))
    } else {
        (inclusion_proof(right, index - middle)?, root_of(left))
    };
    proof.push(sibling);
    Some(proof)
}

/// The proof that the tree of the first `size` leaves is a beginning of the tree of all of them;
/// `None` unless `1 <= size <= leaves.len()`.
pub fn consistency_proof(leaves: &[Hash], size: usize) -> Option<Vec<Hash>> {
    (1..=leaves.len())
        .contains(&size)
        .then(|| subproof(leaves, size, true))
}

fn subproof(leaves: &[Hash], size: usize, whole: bool) -> Vec<Hash> {
    if size == leaves.len() {
        return if whole {
            Vec::new()
        } else {
            vec![root_of(leaves)]
        };
    }
    let middle = split(leaves.len());
    let (left, right) = leaves.split_at(middle);
    let (mut proof, sibling) = if size <= middle {
        (subproof(left, size, whole), root_of(right))
    } else {
        (subproof(right, size - middle, false), root_of(left))
    };
    proof.push(sibling);
    proof
}

/// Whether the proof shows that `leaf` is at `index` (from 0) of the tree of `size` leaves with this
/// root (RFC 9162, 2.1.3.2).
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            // Levels at which the node has no right sibling are not in the proof.
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether the proof shows that the tree of `first_size` leaves with `first_root` is a beginning of
/// the tree of `size` leaves with `root` (RFC 9162, 2.1.4.2).
pub fn verify_consistency(
    first_size: u64,
    size: u64,
    proof: &[Hash],
    first_root: &Hash,
    root: &Hash,
) -> bool {
    if first_size == 0 || first_size > size {
        return false;
    }
    if first_size == size {
        return proof.is_empty() && first_root == root;
    }
    let mut path = proof.iter();
    let start = if first_size.is_power_of_two() {
        Some(first_root)
    } else {
        path.next()
    };
    let Some(start) = start else {
        return false;
    };
    let shift = (first_size - 1).trailing_ones();
    let (mut node, mut last) = ((first_size - 1) >> shift, (size - 1) >> shift);
    let (mut first_hash, mut hash) = (*start, *start);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            first_hash = node_hash(sibling, &first_hash);
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && first_hash == *first_root && hash == *root
}

/// The largest power of two below `length`.
fn split(length: usize) -> usize {
    length.next_power_of_two() / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The leaves and roots with which Certificate Transparency implementations are tested.
    const LEAVES: [&str; 8] = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    #[test]
    fn known_trees_have_their_known_roots() {
        let leaves: Vec<Hash> = LEAVES
            .iter()
            .map(|leaf| leaf_hash(&hex::decode(leaf).unwrap()))
            .collect();
        let mut frontier = Frontier::default();
        for (size, expected) in ROOTS.iter().enumerate() {
            assert_eq!(hex::encode(frontier.root()), *expected);
            assert_eq!(hex::encode(root_of(&leaves[..size])), *expected);
            if let Some(&leaf) = leaves.get(size) {
                frontier.push(leaf);
            }
        }
    }

    #[test]
    fn a_state_of_another_size_is_refused() {
        let mut frontier = Frontier::default();
        frontier.push(leaf_hash(b"one"));
        assert_eq!(Frontier::from_bytes(3, &frontier.to_bytes()), None);
        assert_eq!(Frontier::from_bytes(1, &frontier.to_bytes()[1..]), None);
    }

    proptest! {
        #[test]
        fn frontiers_go_on_and_proofs_hold_for_nothing_else(
            size in 1_usize..90, at in 0_usize..90, flip in 0_usize..32,
        ) {
            let at = at % size;
            let leaves: Vec<Hash> =
                (0..size).map(|number| leaf_hash(&number.to_be_bytes())).collect();
            let mut frontier = Frontier::default();
            leaves[..at].iter().for_each(|&leaf| frontier.push(leaf));
            let mut frontier = Frontier::from_bytes(at as u64, &frontier.to_bytes()).unwrap();
            leaves[at..].iter().for_each(|&leaf| frontier.push(leaf));
            let root = root_of(&leaves);
            prop_assert_eq!(frontier.root(), root);

            let (index, total) = (at as u64, size as u64);
            let proof = inclusion_proof(&leaves, at).unwrap();
            prop_assert!(verify_inclusion(&leaves[at], index, total, &proof, &root));
            let mut other = leaves[at];
            other[flip] ^= 1;
            prop_assert!(!verify_inclusion(&other, index, total, &proof, &root));
            prop_assert!(!verify_inclusion(&leaves[at], index + 1, total, &proof, &root));

            let first = root_of(&leaves[..=at]);
            let proof = consistency_proof(&leaves, at + 1).unwrap();
            prop_assert!(verify_consistency(index + 1, total, &proof, &first, &root));
            let mut other = first;
            other[flip] ^= 1;
            prop_assert!(!verify_consistency(index + 1, total, &proof, &other, &root));
        }
    }
}
