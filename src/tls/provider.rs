//! Which cryptography is used.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

use crate::error::Error;

/// The provider of the process, or the first of those that are compiled in and that the processor can run.
pub(crate) fn resolve() -> Result<Arc<CryptoProvider>, Error> {
    if let Some(provider) = CryptoProvider::get_default() {
        return Ok(Arc::clone(provider));
    }
    match graviola() {
        Ok(provider) => Ok(Arc::new(provider)),
        Err(lack) => compiled_in().map(Arc::new).ok_or_else(|| Error::config(lack)),
    }
}

const REMEDY: &str = "turn on the feature `tls-ring` or `tls-aws-lc` of ottla, which needs a C compiler, or install a provider by \
                      rustls::crypto::CryptoProvider::install_default";

/// graviola, or why it cannot be used. Its own check is an assertion, at the first use.
#[cfg(target_arch = "x86_64")]
fn graviola() -> Result<CryptoProvider, String> {
    let features = [
        ("adx", std::arch::is_x86_feature_detected!("adx")),
        ("aes", std::arch::is_x86_feature_detected!("aes")),
        ("avx", std::arch::is_x86_feature_detected!("avx")),
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("bmi1", std::arch::is_x86_feature_detected!("bmi1")),
        ("pclmulqdq", std::arch::is_x86_feature_detected!("pclmulqdq")),
    ];
    missing(&features).map_or_else(|| Ok(rustls_graviola::default_provider()), Err)
}

#[cfg(target_arch = "aarch64")]
fn graviola() -> Result<CryptoProvider, String> {
    let features = [
        ("aes", std::arch::is_aarch64_feature_detected!("aes")),
        ("neon", std::arch::is_aarch64_feature_detected!("neon")),
        ("pmull", std::arch::is_aarch64_feature_detected!("pmull")),
        ("sha2", std::arch::is_aarch64_feature_detected!("sha2")),
    ];
    missing(&features).map_or_else(|| Ok(rustls_graviola::default_provider()), Err)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn graviola() -> Result<CryptoProvider, String> {
    Err(format!("graviola, the cryptography of TLS without C, does not run on {}: {REMEDY}", std::env::consts::ARCH))
}

/// The error of a processor that lacks some of these features.
fn missing(features: &[(&str, bool)]) -> Option<String> {
    let lacks: Vec<&str> = features.iter().filter(|(_, has)| !has).map(|(name, _)| *name).collect();
    let text = || {
        format!(
            "this processor lacks {}, which graviola, the cryptography of TLS without C, needs: {REMEDY}",
            lacks.join(", ")
        )
    };
    (!lacks.is_empty()).then(text)
}

/// The provider of a feature that needs a C compiler.
fn compiled_in() -> Option<CryptoProvider> {
    #[cfg(feature = "tls-ring")]
    return Some(rustls::crypto::ring::default_provider());
    #[cfg(all(feature = "tls-aws-lc", not(feature = "tls-ring")))]
    return Some(rustls::crypto::aws_lc_rs::default_provider());
    #[cfg(not(any(feature = "tls-ring", feature = "tls-aws-lc")))]
    return None;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_names_the_features_that_the_processor_lacks() {
        let text = missing(&[("aes", true), ("adx", false), ("avx2", false)]).expect("two are missing");
        assert!(text.contains("lacks adx, avx2,") && text.contains("tls-ring"), "{text}");
        assert_eq!(missing(&[("aes", true)]), None);
    }
}
