#!/usr/bin/env python3
"""gRPC's client against Wisp, without a .proto: embeds the texts that are its arguments and prints the vectors as JSON."""

import json
import sys

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

address, texts = sys.argv[1], sys.argv[2:]
SERVICE = "wisp.v1.InferenceService"

with grpc.insecure_channel(address) as channel:
    health = health_pb2_grpc.HealthStub(channel)
    for name in ("", SERVICE, "embedder"):
        status = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=10).status
        assert status == health_pb2.HealthCheckResponse.SERVING, name

    database = ProtoReflectionDescriptorDatabase(channel)
    assert SERVICE in database.get_services(), database.get_services()
    service = descriptor_pool.DescriptorPool(database).FindServiceByName(SERVICE)

    def message(method, part):
        return message_factory.GetMessageClass(getattr(service.methods_by_name[method], part))

    def call(kind, method):
        request, response = message(method, "input_type"), message(method, "output_type")
        path = f"/{SERVICE}/{method}"
        return request, kind(path, request_serializer=request.SerializeToString, response_deserializer=response.FromString)

    request, embed = call(channel.unary_unary, "Embed")
    answer = embed(request(texts=texts), timeout=60)

    request, embed_stream = call(channel.stream_stream, "EmbedStream")
    answers = list(embed_stream(iter([request(texts=[text]) for text in texts] + [request()]), timeout=60))
    assert len(answers) == len(texts) + 1
    for one, embedding in zip(answers, answer.embeddings):
        values = one.response.embeddings[0].values
        assert max(abs(a - b) for a, b in zip(values, embedding.values)) < 0.05
    assert answers[-1].error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]

    request, rerank = call(channel.unary_unary, "Rerank")
    ranking = rerank(request(query=texts[0], documents=texts), timeout=60).ranking
    assert ranking[0].index == 0 and ranking[0].score > 0.99

    request, tokenize = call(channel.unary_unary, "Tokenize")
    assert tokenize(request(texts=texts[:1]), timeout=60).texts[0].ids[0] == 101

json.dump([list(embedding.values) for embedding in answer.embeddings], sys.stdout)
