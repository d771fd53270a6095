use twox_hash::XxHash64;

use super::Shard;

/// The shard of a key: XXH64 of its bytes with seed 0, modulo the number of shards, which is 1 to 65,536. It is the same in
/// every version and every language: a group's head names the version of this function.
pub(crate) fn shard_of(key: &[u8], shards: u32) -> Shard {
    let index = XxHash64::oneshot(0, key) % u64::from(shards.max(1));
    Shard::new(index as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key, XXH64, and the shard of 64, 1,000 and 65,536. The first three are published with the algorithm.
    const VECTORS: &[(&str, u64, [u16; 3])] = &[
        ("", 0xef46_db37_51d8_e999, [25, 921, 59_801]),
        ("a", 0xd24e_c4f1_a98c_6e5b, [27, 955, 28_251]),
        ("abc", 0x44bc_2cf5_ad77_0999, [25, 249, 2_457]),
        ("user:1", 0xd9c7_c460_9e60_80f3, [51, 763, 33_011]),
        ("user:42", 0xdc1f_ea7d_a8d2_d1c2, [2, 386, 53_698]),
        ("tenant/7/orders", 0x3257_0765_1e2a_0e88, [8, 912, 3_720]),
        ("Z\u{fc}rich", 0x85f1_debc_bb1a_8279, [57, 233, 33_401]),
        ("\u{65e5}\u{672c}", 0x80c2_e40b_8486_afab, [43, 563, 44_971]),
        (
            "01234567890123456789012345678901",
            0xe5cc_9f41_1ea1_10ba,
            [58, 850, 4_282],
        ),
        (
            "01234567890123456789012345678901xyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy",
            0xb951_2aaa_d878_62a6,
            [38, 438, 25_254],
        ),
    ];

    #[test]
    fn keys_have_the_published_hashes_and_shards() {
        for (key, hash, shards) in VECTORS {
            assert_eq!(XxHash64::oneshot(0, key.as_bytes()), *hash, "{key}");
            for (count, shard) in [64, 1_000, 65_536].into_iter().zip(shards) {
                let found = shard_of(key.as_bytes(), count);
                assert_eq!(found, Shard::new(*shard), "{key} of {count}");
            }
        }
    }

    #[test]
    fn a_group_of_one_shard_has_every_key_in_it() {
        for key in 0..100_u32 {
            assert_eq!(shard_of(key.to_string().as_bytes(), 1), Shard::new(0));
        }
    }

    #[test]
    fn keys_spread_evenly() {
        let mut counts = [0_u32; 64];
        for key in 0..64_000 {
            let shard = shard_of(format!("user:{key}").as_bytes(), 64);
            counts[usize::from(shard.index())] += 1;
        }
        let (least, most) = (counts.iter().min(), counts.iter().max());
        assert_eq!((least, most), (Some(&937), Some(&1065)));
    }
}
