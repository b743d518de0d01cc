"""The API's behaviour where nobody acts but the controller: pods, their readiness and their end are made by hand.

Test suites of this API run so: an API server alone, where the test plays the StatefulSet controller and the kubelets.
What it plays is not what they would do: it relabels leaders in place, deletes worker StatefulSets without their pods
going, and nothing is ever collected. The controller must do there what the API says all the same. Each test runs on a
simulated API server and on a real one.
"""
