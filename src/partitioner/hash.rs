//! The hashes that choose a key's partition, bit for bit those of the other clients.

/// Kafka's murmur2 (`org.apache.kafka.common.utils.Utils.murmur2`).
pub fn murmur2(data: &[u8]) -> i32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    // Java's length is an int; keys over 2 GiB do not exist there.
    #[allow(clippy::cast_possible_truncation)]
    let mut hash = SEED ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes(word.try_into().expect("four bytes")).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let tail = words.remainder();
    if !tail.is_empty() {
        for (position, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * position);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^= hash >> 15;
    hash.cast_signed()
}

/// The partition that Java chooses for a key: `(murmur2 & 0x7fffffff) % count`.
pub fn java_partition(key: &[u8], count: u32) -> i32 {
    modulo(murmur2(key).cast_unsigned() & 0x7fff_ffff, count)
}

/// The partition that librdkafka's `consistent` chooses for a key: CRC32 modulo the count.
pub fn consistent(key: &[u8], count: u32) -> i32 {
    modulo(crc32(key), count)
}

/// The partition that librdkafka's `fnv1a` chooses for a key.
pub fn fnv1a_partition(key: &[u8], count: u32) -> i32 {
    // librdkafka takes the magnitude of the signed hash, as Sarama does.
    modulo(fnv1a(key).cast_signed().unsigned_abs(), count)
}

/// FNV-1a, 32 bits.
pub fn fnv1a(data: &[u8]) -> u32 {
    data.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// CRC-32 as in gzip and zlib. Also the checksum of message sets before version 2.
pub fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |crc, byte| {
        let [low, ..] = crc.to_le_bytes();
        (crc >> 8) ^ CRC32_TABLE[usize::from(low ^ byte)]
    })
}

fn modulo(hash: u32, count: u32) -> i32 {
    i32::try_from(hash % count.max(1)).unwrap_or(0)
}

const CRC32_TABLE: [u32; 256] = {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    let mut table = [0; 256];
    let mut byte = 0_usize;
    while byte < 256 {
        #[allow(clippy::cast_possible_truncation)]
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};
