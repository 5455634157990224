//! What was asked for, as a label: a closed set, so that no client can make up series.

/// Makes the set; a method more is a line more.
macro_rules! methods {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What a client asked for: the label `method` of `wisp_requests_total`.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub enum Method {
            $($(#[$doc])* $variant,)*
        }

        impl Method {
            /// Every method.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The label.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

methods! {
    /// `wisp.v1` Embed, and the engine as a library.
    #[default]
    Embed = "embed",
    /// One message of `wisp.v1` EmbedStream.
    EmbedStream = "embed_stream",
    /// `wisp.v1` Rerank.
    Rerank = "rerank",
    /// `wisp.v1` Tokenize.
    Tokenize = "tokenize",
    /// `wisp.v1` Decode.
    Decode = "decode",
    /// `wisp.v1` Classify.
    Classify = "classify",
    /// One message of `wisp.v1` ClassifyStream.
    ClassifyStream = "classify_stream",
    /// ModelInfer of the Open Inference Protocol, over gRPC or HTTP.
    Infer = "infer",
    /// One message of its ModelStreamInfer.
    InferStream = "infer_stream",
    /// A request to an application.
    Http = "http",
    /// The HTTP interface in the form of OpenAI's.
    Openai = "openai",
    /// The HTTP interface in the form of text-embeddings-inference.
    Tei = "tei",
}
