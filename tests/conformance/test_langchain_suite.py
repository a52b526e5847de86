"""LangChain's own tests of a vector store."""

import pytest

pytest.importorskip("langchain_tests")

from langchain_tests.integration_tests import VectorStoreIntegrationTests

from nearfield.integrations.langchain import NearfieldVectorStore


class TestInATemporaryFolder(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self):
        store = NearfieldVectorStore(self.get_embeddings())
        yield store
        store.close()


class TestInAFolderThatStays(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, tmp_path):
        store = NearfieldVectorStore(self.get_embeddings(), tmp_path / "store", metric="l2")
        yield store
        store.close()
