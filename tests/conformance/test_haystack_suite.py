"""Haystack's own tests of a document store, the extended ones and their asynchronous twins."""

import numpy as np
import pytest

pytest.importorskip("haystack")

from haystack import Document
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.testing import document_store as suite
from haystack.testing import document_store_async as async_suite

from nearfield.integrations.haystack import NearfieldDocumentStore


@pytest.fixture
def store():
    made = NearfieldDocumentStore(embedding_dim=768)
    yield made
    made.close()


class Embedded:
    """Embeddings come back as float32, everything else as it was."""

    @staticmethod
    def assert_documents_are_equal(received, expected):
        assert len(received) == len(expected)
        for got, wanted in zip(received, expected, strict=True):
            assert (got.embedding is None) == (wanted.embedding is None)
            if got.embedding is not None:
                np.testing.assert_allclose(got.embedding, wanted.embedding, rtol=1e-6)
            kept = [{**doc.to_dict(flatten=False), "embedding": None} for doc in (got, wanted)]
            assert kept[0] == kept[1]

    @pytest.fixture
    def document_store(self, store):
        return store


class TestStore(
    Embedded,
    suite.DocumentStoreBaseExtendedTests,
    suite.CountDocumentsByFilterTest,
    suite.CountUniqueMetadataByFilterTest,
    suite.GetMetadataFieldsInfoTest,
    suite.GetMetadataFieldMinMaxTest,
    suite.GetMetadataFieldUniqueValuesTest,
):
    def test_write_documents(self, document_store):
        doc = Document(content="test doc")
        assert document_store.write_documents([doc]) == 1
        with pytest.raises(DuplicateDocumentError):
            document_store.write_documents([doc])
        self.assert_documents_are_equal(document_store.filter_documents(), [doc])


class TestStoreAsync(
    Embedded,
    async_suite.CountDocumentsAsyncTest,
    async_suite.WriteDocumentsAsyncTest,
    async_suite.DeleteDocumentsAsyncTest,
    async_suite.DeleteAllAsyncTest,
    async_suite.DeleteByFilterAsyncTest,
    async_suite.UpdateByFilterAsyncTest,
    async_suite.FilterDocumentsAsyncTest,
    async_suite.CountDocumentsByFilterAsyncTest,
    async_suite.CountUniqueMetadataByFilterAsyncTest,
    async_suite.GetMetadataFieldsInfoAsyncTest,
    async_suite.GetMetadataFieldMinMaxAsyncTest,
    async_suite.GetMetadataFieldUniqueValuesAsyncTest,
):
    async def test_write_documents_async(self, document_store):
        doc = Document(content="test doc")
        assert await document_store.write_documents_async([doc]) == 1
        with pytest.raises(DuplicateDocumentError):
            await document_store.write_documents_async([doc])
