from test_asking import Given, blobs, numbered

from inbedder_utils.clustering.asking import ask


def test_the_printed_form_says_question_sizes_and_names():
    result = ask(Given(blobs(5, 20, 10)), numbered(35), "Which?", 3)
    first, *lines = repr(result).splitlines()
    assert "'Which?'" in first and "35 texts, 3 clusters" in first and "silhouette" in first
    assert [line.split("  ")[1] for line in lines] == result.names


def test_notebooks_show_a_table_without_running_what_is_in_a_text():
    evil = "<script>alert('x')</script> & more"
    result = ask(Given(blobs(3, 3)), [evil, *numbered(5)], "<b>Which?</b>", 2)
    shown = result._repr_html_()
    assert shown.count("<tr>") == 3 and "<script" not in shown and "<b>Which" not in shown
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; &amp; more" in shown
